#include "core/train/search_trainer.h"

#include "core/train/trainer.h"

namespace qlora::train {

search::Trainer search_trainer(std::string device, int threads) {
    return [device = std::move(device), threads](const search::Sitting& sitting, Control& control, const Sink& sink) {
        RunOptions options;
        options.run_folder = sitting.folder;
        options.resume = sitting.resume;
        options.device = device;
        options.threads = threads;
        options.stop_after = sitting.stop_after;
        options.learning_rate = sitting.learning_rate;
        return run(sitting.recipe, options, control, sink);
    };
}

}  // namespace qlora::train
