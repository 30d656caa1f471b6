"""PyTorch: Linear and ReLU, torch.optim.SGD, batches by index from tensors in memory; eager or torch.compile."""

import torch

from benchmarks.contestants import Unavailable


class PyTorch:
    def __init__(self, problem, compiled=False):
        self.problem = problem
        if problem.device == "gpu" and not torch.cuda.is_available():
            raise Unavailable("this torch finds no GPU here")
        self.on = torch.device("cuda" if problem.device == "gpu" else "cpu")
        self.x, self.y = torch.from_numpy(problem.x).to(self.on), torch.from_numpy(problem.y).long().to(self.on)
        layers = []
        for layer in problem.parameters:
            linear = torch.nn.Linear(*layer["kernel"].shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(layer["kernel"].T))
                linear.bias.copy_(torch.from_numpy(layer["bias"]))
            layers += [linear, torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers[:-1]).to(self.on)
        self.optimizer = torch.optim.SGD(self.network.parameters(), problem.rate)
        self.loss = torch.compile(self._loss) if compiled else self._loss
        if compiled:
            try:
                self.loss(self.x[: problem.batch_size], self.y[: problem.batch_size]).backward()
            except Exception as error:  # whatever the compiler lacks on this machine
                raise Unavailable(f"torch.compile: {str(error).strip().splitlines()[0]}") from error

    def follow(self, steps):
        batch = self.problem.batch_size
        return [self._step(torch.arange(step * batch, (step + 1) * batch)).item() for step in range(steps)]

    def train(self, epochs, shuffle):
        samples = len(self.x)
        for _ in range(epochs):
            order = torch.randperm(samples, device=self.on) if shuffle else torch.arange(samples, device=self.on)
            for rows in order.split(self.problem.batch_size):
                self._step(rows)
        if self.on.type == "cuda":
            torch.cuda.synchronize()

    def weights(self):
        linears = [layer for layer in self.network if isinstance(layer, torch.nn.Linear)]
        pairs = [(linear.weight.T, linear.bias) for linear in linears]
        return [w.detach().cpu().numpy() for pair in pairs for w in pair]

    @property
    def device(self):
        found = {"gpu" if weight.device.type == "cuda" else "cpu" for weight in self.network.parameters()}
        return ", ".join(sorted(found))

    def _loss(self, x, y):
        return torch.nn.functional.cross_entropy(self.network(x), y)

    def _step(self, rows):
        self.optimizer.zero_grad()
        loss = self.loss(self.x[rows], self.y[rows])
        loss.backward()
        self.optimizer.step()
        return loss.detach()
