"""The programs that are timed: one module each, with one class, `Class(problem, precision, device)`.

train(epochs, shuffle)   trains, waits until the device is done, and returns the seconds
loss                     the mean loss of the last epoch
device                   where the weights are: "cpu" or "gpu"
version                  the version of the numbers' package
"""
