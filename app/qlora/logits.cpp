#include "core/evaluate/logits.h"

#include "app/qlora/command.h"
#include "app/qlora/live_line.h"
#include "app/qlora/options.h"

namespace qlora::cli {

Run define_logits(CLI::App& command) {
    struct Options {
        evaluate::LoadOptions load;
        evaluate::LogitsInput input;
        std::string adapter, out;
    };
    auto options = std::make_shared<Options>();
    command.add_option("MODEL", options->load.model, "The model to ask")->required();
    auto* text =
        command.add_option("--text", options->input.text, "A text, tokenized with its special tokens");
    auto* ids =
        command.add_option("--ids", options->input.ids, "Token ids, separated by commas")->delimiter(',');
    command
        .add_option("--decoder-ids", options->input.decoder_ids,
                    "Token ids of the decoder, separated by commas")
        ->delimiter(',');
    add_precision(command, options->load.precision);
    command.add_option("--adapter", options->adapter, "A folder with an adapter in PEFT's format");
    command.add_option("--out", options->out, "The safetensors file to write")->required();
    return [options, text, ids, &command](Context& context) {
        if (text->empty() == ids->empty()) throw usage_error(command, "expected one of --text and --ids");
        LiveLine live;
        options->load.adapter = options->adapter;
        options->load.device = context.device;
        options->load.threads = context.threads;
        const std::string tensor =
            evaluate::write_logits(options->load, options->input, options->out, context.control, live.progress());
        live.clear();
        context.output.answer({{"out", options->out}, {"tensor", tensor}}, "Wrote " + tensor + " to " + options->out);
        return 0;
    };
}

}  // namespace qlora::cli
