#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "app/qlora/live_line.h"
#include "app/qlora/options.h"
#include "core/evaluate/chat.h"

namespace qlora::cli {

namespace {

struct GenerateCommand {
    evaluate::LoadOptions load;
    evaluate::GenerateOptions generate;
    std::string prompt, system, adapter;
    bool chat = false, stream = false;
};

OrderedJson to_json(const evaluate::GenerateResult& result) {
    if (!result.labels.empty()) {
        OrderedJson labels = OrderedJson::array();
        for (const auto& label : result.labels) labels.push_back({{"label", label.name}, {"score", label.score}});
        return {{"text", result.text}, {"labels", labels}, {"prompt_tokens", result.prompt_tokens}, {"seconds", result.prompt_seconds}};
    }
    return {
        {"text", result.text},
        {"stop", result.stop},
        {"prompt_tokens", result.prompt_tokens},
        {"tokens", result.tokens},
        {"prompt_seconds", result.prompt_seconds},
        {"seconds", result.seconds},
        {"tokens_per_second", result.seconds > 0 ? static_cast<double>(result.tokens) / result.seconds : 0}};
}

int generate(Context& context, GenerateCommand& options) {
    LiveLine live;
    options.load.adapter = options.adapter;
    options.load.device = context.device;
    options.load.threads = context.threads;
    auto session = evaluate::Session::load(options.load, context.control, live.progress());
    live.clear();
    for (const std::string& notice : session->notices()) context.output.note(notice);

    std::function<void(const std::string&)> stream;
    if (options.stream)
        stream = [&](const std::string& piece) {
            if (context.output.json())
                context.output.answer({{"piece", piece}}, {});
            else
                context.output.piece(piece);
        };
    bool tuned = session->has_adapter();
    evaluate::GenerateResult result;
    if (options.chat) {
        std::vector<evaluate::Message> messages;
        if (!options.system.empty()) messages.push_back({"system", options.system});
        messages.push_back({"user", options.prompt});
        result = session->chat(messages, tuned, options.generate, context.control, stream);
    } else {
        result = session->complete(options.prompt, tuned, options.generate, context.control, stream);
    }
    context.output.answer(to_json(result), options.stream ? "" : result.text);
    if (!result.labels.empty()) return 0;
    context.output.note(std::to_string(result.tokens) + " tokens in " + duration_text(result.seconds) +
                        " after " + std::to_string(result.prompt_tokens) + " of the prompt in " +
                        duration_text(result.prompt_seconds));
    return result.stop == "stopped" ? stopped().exit_code() : 0;
}

}  // namespace

Run define_generate(CLI::App& command) {
    auto options = std::make_shared<GenerateCommand>();
    command.add_option("MODEL", options->load.model, "The model to ask")->required();
    command.add_option("--prompt", options->prompt, "The text to go on from")->required();
    auto* chat = command.add_flag("--chat", options->chat,
                                  "The prompt is a user's message, put into the chat template");
    command.add_option("--system", options->system, "A system message before it")->needs(chat);
    command.add_option("--adapter", options->adapter, "A folder with an adapter in PEFT's format");
    add_precision(command, options->load.precision);
    command.add_option("--max-tokens", options->generate.max_tokens, "The longest answer")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
    command
        .add_option("--temperature", options->generate.temperature,
                    "0: always the likeliest token; 1: as the model says")
        ->check(number_from(0, 100));
    command
        .add_option("--top-k", options->generate.top_k, "Chooses among the k likeliest tokens; 0: among all")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 32));
    command
        .add_option("--top-p", options->generate.top_p,
                    "Chooses among the likeliest tokens that make up this share")
        ->check(number_from(0.0001, 1));
    command.add_option("--seed", options->generate.seed, "Fixes what is left to chance");
    command.add_flag("--stream", options->stream, "Writes the answer as it comes");
    return [options](Context& context) { return generate(context, *options); };
}

}  // namespace qlora::cli
