"""Who is timed: a module each, with one class, `Class(problem, precision, device)`.

train(epochs, shuffle)   trains, waits until the device is done, and gives the seconds
loss                     the mean loss of the last epoch
device                   where the weights are: "cpu" or "gpu"
version                  the version that these numbers are of
"""
