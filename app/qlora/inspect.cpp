#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "core/nn/model_info.h"

namespace qlora::cli {

namespace {

OrderedJson to_json(const nn::ModelInfo& info) {
    OrderedJson linears = OrderedJson::array(), types = OrderedJson::object();
    for (const nn::LinearInfo& linear : info.linears)
        linears.push_back({{"name", linear.name}, {"in", linear.in}, {"out", linear.out}});
    for (const auto& [type, tensors] : info.tensor_types) types[type] = tensors;
    return {{"path", info.path.string()},
            {"name", info.name},
            {"family", info.family},
            {"format", info.format},
            {"parameters", info.parameters},
            {"layers", info.layers},
            {"encoder_layers", info.encoder_layers},
            {"dtype", info.dtype},
            {"quantization", info.quantization},
            {"tokenizer", info.tokenizer},
            {"context", info.context},
            {"hidden", info.hidden},
            {"intermediate", info.intermediate},
            {"heads", info.heads},
            {"kv_heads", info.kv_heads},
            {"head_dim", info.head_dim},
            {"vocabulary", info.vocabulary},
            {"tied_embeddings", info.tied_embeddings},
            {"chat_template", info.chat_template},
            {"licence", info.licence},
            {"file_bytes", info.file_bytes},
            {"tensor_types", types},
            {"linears", linears},
            {"notices", info.notices}};
}

std::string text(const nn::ModelInfo& info) {
    std::string types;
    for (const auto& [type, tensors] : info.tensor_types)
        types += type + " (" + std::to_string(tensors) + ") ";
    std::string out =
        table({{info.name, info.path.string()},
               {"family", info.family + ", " + info.format},
               {"parameters", count_text(info.parameters)},
               {"stored as", (info.quantization.empty() ? info.dtype : info.quantization) + ", " +
                                 bytes_text(info.file_bytes)},
               {"tensors", types},
               {"layers", (info.encoder_layers > 0 ? std::to_string(info.encoder_layers) + " + " : std::string()) + std::to_string(info.layers) + " of " + std::to_string(info.hidden) + " wide, " +
                              std::to_string(info.heads) + " heads (" + std::to_string(info.kv_heads) +
                              " for keys and values)"},
               {"context", count_text(info.context) + " tokens"},
               {"tokenizer", info.tokenizer + (info.chat_template ? ", with a chat template" : "")},
               {"licence", info.licence.empty() ? "not named" : info.licence}});
    for (const std::string& notice : info.notices) out += notice + "\n";
    return out;
}

}  // namespace

Run define_inspect(CLI::App& command) {
    auto model = std::make_shared<std::string>();
    command.add_option("MODEL", *model, "The model to look into")->required();
    return [model](Context& context) {
        nn::ModelInfo info = nn::inspect(*model);
        context.output.answer(to_json(info), text(info));
        return 0;
    };
}

}  // namespace qlora::cli
