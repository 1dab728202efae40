#pragma once
// A run's state on disk: whole or absent, checked when read. checkpoints/step-N holds the adapter in PEFT's format,
// optimizer.safetensors (its moments) and state.json (counters, position in the data, hashes of the other files).

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/adapters/adapter.h"
#include "core/data/batches.h"
#include "core/train/optimizer.h"

namespace qlora::train {

struct RunState {
    std::int64_t step = 0;  // optimizer steps done, skipped ones included
    data::Position position;
    std::int64_t skipped_in_a_row = 0, skipped = 0;
    double best_loss = 0, base_loss = 0, last_train_loss = 0, last_validation_loss = 0;
    std::map<std::string, double> best_metrics, last_metrics;  // beside the validation losses
    std::int64_t best_step = 0;          // 0: none yet
    std::int64_t evaluated_step = 0;     // the last one whose evaluation was finished
    std::int64_t without_improvement = 0;
    bool base_evaluated = false, stopped_early = false;
    double seconds = 0;
    std::int64_t peak_bytes = 0;
    // What the run must find again to go on: fingerprints of its training and validation tokens, threads.
    std::string train_fingerprint, validation_fingerprint;
    int threads = 0;
    int processes = 1;
};

// As state.json keeps it. A checkpoint older than a member leaves it at its default.
OrderedJson to_json(const RunState& state);
RunState state_from_json(const JsonObject& object);

// Writes checkpoints/step-N under `run` and removes the oldest beyond `keep`. Returns its folder.
std::filesystem::path write_checkpoint(const std::filesystem::path& run, const RunState& state, const adapters::Adapter& adapter,
                                       Optimizer& optimizer, std::int64_t keep);

// The folders of whole checkpoints, oldest first. Those that are damaged (wrong hash, unreadable) are named in `damaged`.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& run, std::vector<std::string>* damaged = nullptr);

// Reads a checkpoint into adapter and optimizer. Throws input_error naming the file.
RunState read_checkpoint(const std::filesystem::path& checkpoint, adapters::Adapter& adapter, Optimizer& optimizer);

}  // namespace qlora::train
