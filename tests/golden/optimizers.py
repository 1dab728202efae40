"""optimizers.json: what torch.optim.SGD, transformers' Adafactor and bitsandbytes' Lion make of the same gradients, and
transformers' learning rates. Run with the peers: .deps/peers/bin/python tests/golden/optimizers.py"""
import json
import pathlib

import torch
from transformers import get_scheduler
from transformers.optimization import Adafactor

STEPS, WARMUP, TOTAL = 12, 3, 10
torch.manual_seed(5)
shapes = [(6, 4), (5,)]
start = [torch.randn(shape) for shape in shapes]
gradients = [[torch.randn(shape) * 0.3 for shape in shapes] for _ in range(STEPS)]


def lion(parameters, rate, betas, decay):
    """bitsandbytes' update (csrc/kernels.cu, LION), which it has for GPUs alone."""
    moments = [torch.zeros_like(p) for p in parameters]

    def step():
        for p, m in zip(parameters, moments):
            p.data.mul_(1 - rate * decay)
            p.data.sub_(torch.sign(m * betas[0] + p.grad * (1 - betas[0])), alpha=rate)
            m.mul_(betas[1]).add_(p.grad, alpha=1 - betas[1])
    return step


def trained(make):
    parameters = [p.clone().requires_grad_() for p in start]
    step = make(parameters)
    for each in gradients:
        for p, g in zip(parameters, each):
            p.grad = g.clone()
        step()
    return torch.cat([p.detach().flatten() for p in parameters]).tolist()


def schedule(name, **options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    rates, scheduler = [], get_scheduler(name, optimizer, num_warmup_steps=WARMUP, num_training_steps=TOTAL, **options)
    for _ in range(TOTAL + 2):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step(), scheduler.step()
    return rates


golden = {
    "start": torch.cat([p.flatten() for p in start]).tolist(),
    "gradients": [torch.cat([g.flatten() for g in each]).tolist() for each in gradients],
    "optimizers": {
        "sgd": trained(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05).step),
        "adafactor": trained(lambda p: Adafactor(p, lr=0.1, weight_decay=0.05, scale_parameter=False, relative_step=False).step),
        "lion": trained(lambda p: lion(p, 0.1, (0.9, 0.99), 0.05)),
    },
    "schedules": {
        "cosine_with_restarts": schedule("cosine_with_restarts", scheduler_specific_kwargs={"num_cycles": 3}),
        "inverse_sqrt": schedule("inverse_sqrt"),
        "polynomial": schedule("polynomial", scheduler_specific_kwargs={"power": 2.0}),
    },
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")
