#pragma once
// The part of an optimizer step's batches that one of several processes computes.

#include <span>
#include <vector>

#include "core/data/batches.h"

namespace qlora::data {

// The rows of `rank`, 0 <= rank < size, of every micro-batch, in their order; a micro-batch may be left without a row. The shares
// of all ranks together are the step. Balanced by tokens over the whole step, the longest row first (Graham 1969, "Bounds on
// multiprocessing timing anomalies"). A pure function of its arguments.
std::vector<Batch> share(std::span<const Batch> step, int rank, int size);

}  // namespace qlora::data
