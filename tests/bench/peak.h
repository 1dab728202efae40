#pragma once
// The processor's limit for the kernels' instruction set.

// GFLOP/s of one thread's fp32 multiply-adds on numbers that stay in registers.
double peak_gflops();
// The same of products of bf16 pairs. Only where the processor has them.
double peak_bf16_gflops();
