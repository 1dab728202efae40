#include "app/qlora/command.h"
#include "app/qlora/options.h"
#include "core/base/file.h"
#include "core/formats/gguf.h"
#include "core/hub/catalogue.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::cli {

namespace {

struct TokenizeOptions {
    std::string model, text, file, chat;
    bool no_special = false, generation_prompt = false;
};

void answer(Output& output, const tokenizer::Tokenizer& tokenizer, const std::string& text, bool add_special,
            OrderedJson json = OrderedJson::object()) {
    tokenizer::Encoding encoding = tokenizer.encode(text, {.add_special = add_special});
    OrderedJson tokens = OrderedJson::array();
    std::string shown;
    for (std::int32_t id : encoding.ids) {
        tokens.push_back(tokenizer.token(id));
        shown += std::to_string(id) + " ";
    }
    json["ids"] = encoding.ids;
    json["tokens"] = std::move(tokens);
    output.answer(json, shown);
}

// In the order of the file's keys: a template may print a message's further members.
OrderedJson read_messages(const std::string& file) {
    std::string text = read_file(file, std::size_t{64} << 20);
    Json checked = parse_json(text, file);
    if (!checked.is_array())
        throw input_error("chat.messages", file, "expected a list of messages, got " + describe(checked));
    return OrderedJson::parse(text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text);
}

void tokenize_lines(Context& context, const tokenizer::Tokenizer& tokenizer, const TokenizeOptions& options) {
    std::string text = read_file(options.file);
    for (std::size_t begin = 0; begin < text.size();) {
        context.control.check();
        std::size_t end = std::min(text.find('\n', begin), text.size());
        answer(context.output, tokenizer, text.substr(begin, end - begin), !options.no_special);
        begin = end + 1;
    }
}

}  // namespace

std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const std::string& model) {
    const std::filesystem::path path = hub::resolve_model(model);
    if (std::filesystem::is_directory(path)) return tokenizer::Tokenizer::load(path);
    return tokenizer::Tokenizer::from_gguf(formats::GgufFile(path));
}

Run define_tokenize(CLI::App& command) {
    auto options = std::make_shared<TokenizeOptions>();
    command.add_option("MODEL", options->model, "The model whose tokenizer is used")->required();
    auto* text = command.add_option("--text", options->text, "One text");
    auto* file = command.add_option("--file", options->file, "A file: each line is a text, an empty one too");
    auto* chat =
        command.add_option("--chat", options->chat, "A JSON list of messages, rendered by the chat template");
    command.add_flag("--no-special", options->no_special, "Adds no special tokens such as bos and eos");
    command
        .add_flag("--generation-prompt", options->generation_prompt,
                  "Ends the chat with what comes before the assistant's answer")
        ->needs(chat);
    return [options, text, file, chat, &command](Context& context) {
        if (text->count() + file->count() + chat->count() != 1)
            throw usage_error(command, "expected one of --text, --file and --chat");
        auto tokenizer = load_tokenizer(options->model);
        if (file->count() > 0) {
            tokenize_lines(context, *tokenizer, *options);
        } else if (chat->count() > 0) {
            // As transformers does: the template writes the special tokens itself.
            std::string rendered =
                tokenizer->render_chat(read_messages(options->chat), options->generation_prompt);
            answer(context.output, *tokenizer, rendered, false, {{"text", rendered}});
        } else {
            answer(context.output, *tokenizer, options->text, !options->no_special);
        }
        return 0;
    };
}

}  // namespace qlora::cli
