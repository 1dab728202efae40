// trajectory MODEL ADAPTER|RECIPE.json BATCHES.json OUT fp32|nf4 LEARNING_RATE|RECIPE.json: steps from an adapter, or from where a
// recipe's method begins, on given batches (labels -100 where not trained on), of AdamW at one rate or as a recipe has it. Writes
// OUT/losses.json and the resulting adapter to OUT/adapter.
#include <torch/torch.h>

#include <iostream>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/nn/load.h"
#include "tests/core/train/steps.h"

int main(int argc, char** argv) {
    using namespace qlora;
    try {
        if (argc != 7) throw input_error("usage", "trajectory", "MODEL ADAPTER BATCHES.json OUT fp32|nf4 LEARNING_RATE");
        Control control;
        const bool nf4 = std::string(argv[5]) == "nf4";
        auto model = nn::load(nn::ModelFiles::open(argv[1]), {nf4 ? recipe::Precision::nf4 : recipe::Precision::fp32, {}}, control);
        const std::filesystem::path start = argv[2];
        auto adapter = start.extension() == ".json" ? adapters::attach(model, recipe::load(start), {}) : adapters::load(model, start);
        const Json batches = read_json_file(argv[3]);
        const std::filesystem::path training = argv[6];
        const auto losses = training.extension() == ".json" ? tests::train_on(model, *adapter, batches, recipe::load(training).train)
                                                            : tests::train_on(model, *adapter, batches, std::stod(argv[6]), 0, 1);
        const std::filesystem::path out = argv[4];
        create_folders(out / "adapter");
        write_atomically(out / "losses.json", Json(losses).dump());
        adapter->save(out / "adapter");
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
