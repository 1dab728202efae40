#include "core/tokenizer/tokenizer_json.h"

#include "core/base/error.h"
#include "core/tokenizer/bpe.h"
#include "core/tokenizer/unigram.h"
#include "core/tokenizer/word_level.h"
#include "core/tokenizer/word_piece.h"

namespace qlora::tokenizer {
namespace {

// Files of before 2020 leave the model's type out.
std::string model_type(const JsonObject& model) {
    if (model.has("type")) return model.string("type");
    if (model.has("merges")) return "BPE";
    if (model.has("max_input_chars_per_word")) return "WordPiece";
    return model.raw().contains("vocab") && model.raw()["vocab"].is_array() ? "Unigram" : "WordLevel";
}

std::unique_ptr<Model> read_model(const JsonObject& json, bool byte_level) {
    std::string type = model_type(json);
    if (type == "BPE") return read_bpe(json, byte_level);
    if (byte_level)
        throw input_error("tokenizer.unsupported", json.where(), "the model \"" + type + "\" after a ByteLevel pre-tokenizer");
    if (type == "WordPiece") return read_word_piece(json);
    if (type == "Unigram") return read_unigram(json);
    if (type == "WordLevel") return read_word_level(json);
    throw input_error("tokenizer.unsupported", json.where(), "the model \"" + type + "\" is not supported");
}

const Json& part(const Json& json, const char* key) {
    static const Json none;
    auto found = json.find(key);
    return found == json.end() ? none : *found;
}

void read_added_tokens(const JsonObject& json, Pipeline& pipeline) {
    const Json& list = part(json.raw(), "added_tokens");
    if (list.is_null()) return;
    if (!list.is_array()) json.fail("added_tokens", "an array");
    for (const Json& item : list) {
        JsonObject object(item, json.where() + ": added_tokens");
        AddedToken token = read_added_token(object, !object.boolean("special", false));
        auto id = object.integer("id", 0, Vocabulary::limit - 1);
        // The library keeps the vocabulary's id where the model knows the spelling.
        token.id = pipeline.model->vocabulary().find(token.content).value_or(static_cast<std::int32_t>(id));
        pipeline.added.add(std::move(token));
    }
}

}  // namespace

std::unique_ptr<Pipeline> read_tokenizer_json(const Json& value, const std::string& where) {
    JsonObject json(value, where);
    if (!value.contains("model"))
        throw input_error("tokenizer.not_a_tokenizer", where, "expected a tokenizer.json with a \"model\", got none",
                          "Point to the folder that holds the model's own tokenizer.json.");
    auto pipeline = std::make_unique<Pipeline>();
    pipeline->where = where;
    pipeline->normalizer = read_normalizer(part(value, "normalizer"), where);
    bool byte_level = false;
    pipeline->pre_tokenizer = read_pre_tokenizer(part(value, "pre_tokenizer"), where, byte_level);
    JsonObject model(json.value("model"), where + ": model");
    pipeline->model = read_model(model, byte_level);
    pipeline->post_processor = read_post_processor(part(value, "post_processor"), where);
    pipeline->decoder = read_decoder(part(value, "decoder"), where);
    read_added_tokens(json, *pipeline);
    return pipeline;
}

}  // namespace qlora::tokenizer
