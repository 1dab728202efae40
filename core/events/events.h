#pragma once
// What a run tells while it goes: small values, sent from the training thread to whoever listens. The engine
// never knows who that is. Each is also one line of events.jsonl and of `qlora train --json`.

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/memory_tag.h"

namespace qlora::train {

struct Progressed {  // loading, tokenizing, quantizing; not written to events.jsonl
    std::string what;
    double done = 0, total = 0;  // total 0: unknown
};
struct Loaded {
    std::string model, family, precision, device, compute;
    std::int64_t parameters = 0, trainable_parameters = 0;
    std::int64_t train_rows = 0, validation_rows = 0, test_rows = 0, dropped_rows = 0;
    std::int64_t steps = 0, steps_per_epoch = 0, first_step = 0;  // first_step > 0: resumed after that step
    double load_seconds = 0;
    MemoryBytes bytes;
    std::int64_t processes = 1;  // that share every batch; rows, steps and the events' tokens are of all, bytes of the first
};
struct StepDone {
    std::int64_t step = 0;                    // optimizer steps, from 1
    double epoch = 0;                         // rows seen / rows
    double loss = 0;                          // mean over the step's trained tokens, nats; NaN when skipped
    double learning_rate = 0, grad_norm = 0;  // norm before clipping
    std::int64_t tokens = 0, trained_tokens = 0;
    double tokens_per_second = 0, seconds = 0;
    bool skipped = false;  // a loss or gradient that was no finite number: no update was made
    MemoryBytes bytes;     // live at the step's peak
    std::int64_t peak_bytes = 0, process_bytes = 0, device_used_bytes = 0;
};
struct Sample {  // one question answered by base and tuned model
    std::string prompt, expected, base, tuned;
};
struct Evaluated {
    std::int64_t step = 0;
    double loss = 0;
    std::map<std::string, double> metrics;  // "perplexity", ...
    bool best = false;
    std::vector<Sample> samples;
    double seconds = 0;
};
struct Checkpointed {
    std::int64_t step = 0;
    std::string path;
    double seconds = 0;
};
struct MemorySample {    // at most four a second, also while loading
    double seconds = 0;  // since the run began
    MemoryBytes bytes;
    std::int64_t peak_bytes = 0, process_bytes = 0, device_used_bytes = 0;
};
struct Notice {
    std::string code, message, hint;
};
struct Finished {
    std::string run;                        // the run folder
    std::string reason;                     // "completed", "early_stopping", "stopped_and_saved", "stopped"
    std::int64_t steps = 0, best_step = 0;  // best_step 0: no evaluation
    std::map<std::string, double>
        metrics;  // "train_loss", "validation_loss", "perplexity", "base_perplexity", ...
    std::int64_t peak_bytes = 0;
    double seconds = 0;
};
struct Failed {
    std::string code, message, where, hint;  // as in Error
    bool input = false;                      // the user's recipe, file or data is wrong (exit code 2, else 1)
};

using Event = std::variant<Progressed, Loaded, StepDone, Evaluated, Checkpointed, MemorySample, Notice,
                           Finished, Failed>;
using Sink = std::function<void(const Event&)>;  // called on the training thread; must not block

Failed failed(const Error& error);

// One object with "event": loaded, step, evaluation, checkpoint, memory, notice, finished, failed, progress.
// Numbers that are not finite are null. A failed event holds {"error": {code, message, where, hint}}.
OrderedJson to_json(const Event& event);
// The same as one line of text without its line feed; bytes that are no UTF-8 become U+FFFD.
std::string to_line(const Event& event);
// The other way, for run folders read back: null numbers are NaN, members an older program did not write keep
// their defaults. Throws input_error "event.unknown" or "json.field"; `where` names the line in it.
Event from_json(const Json& json, const std::string& where = "event");
// The events of a run folder's events.jsonl, in order. A last line cut short by a crash is left out; any
// other broken line throws input_error naming file and line.
std::vector<Event> read_events(const std::filesystem::path& file);
// Whether a folder holds a run that ended before its first step, and so nothing that another may not take the place of: one that was
// refused once its model or data was read. Not one that a program holds.
bool is_only_tried(const std::filesystem::path& folder);

}  // namespace qlora::train
