#include "core/train/trainer.h"

#include <new>

#include "core/base/error.h"
#include "core/base/out_of_memory.h"
#include "core/gpu/gpu.h"
#include "core/hub/catalogue.h"
#include "core/memory/meters.h"
#include "core/train/training_run.h"

namespace qlora::train {

namespace {

// What the run used goes back to the system, however it ends.
struct GiveBack {
    ~GiveBack() { memory::give_back(); }
};

}  // namespace

void require_files(const recipe::Recipe& recipe) {
    hub::resolve_model(recipe.model);
    for (const std::string& part : {recipe.data.train, recipe.data.validation, recipe.data.test})
        if (!part.empty()) hub::resolve_data(part);
}

Event run(const recipe::Recipe& recipe, const RunOptions& options, Control& control, const Sink& sink) {
    Failed failure;
    const GiveBack after;
    const gpu::BackwardHere backward;
    try {
        TrainingRun training(recipe, options, control, sink);
        return training.run();
    } catch (const Error& error) {
        failure = failed(error);
        if (error.kind() == Error::Kind::stopped) {
            // Stopped before there was anything to save.
            Finished finished;
            finished.run = options.run_folder.string();
            finished.reason = "stopped";
            sink(finished);
            return finished;
        }
    } catch (const std::bad_alloc&) {
        failure = {"memory.exhausted", "there is not enough memory for this run", "",
                  "Use a smaller batch, shorter rows, gradient checkpointing or a smaller model."};
    } catch (const std::exception& error) {
        if (const auto memory = out_of_device_memory(error)) failure = failed(*memory);
        else failure = {"internal", error.what(), "", "This is a fault of the program; please report it with the recipe."};
    }
    sink(failure);
    return failure;
}

}  // namespace qlora::train
