#include "core/tokenizer/post_processor.h"

#include <utility>

#include "core/base/error.h"
#include "core/tokenizer/vocabulary.h"

namespace qlora::tokenizer {
namespace {

std::int32_t read_id(const Json& id, const std::string& where, const std::string& name) {
    if (!id.is_number_integer() || id < 0 || id >= Vocabulary::limit)
        throw input_error("json.field", where, "the id of " + name + ": expected an integer from 0 to " +
                                                   std::to_string(Vocabulary::limit - 1) + ", got " + describe(id));
    return id.get<std::int32_t>();
}

PostProcessor read_template(const JsonObject& json) {
    const Json& single = json.value("single");
    if (!single.is_array()) json.fail("single", "an array");
    PostProcessor out;
    bool seen = false;
    for (const Json& item : single) {
        if (item.is_object() && item.contains("Sequence")) {
            if (std::exchange(seen, true))
                throw input_error("tokenizer.unsupported", json.where(), "a template with the text in it twice");
            continue;
        }
        if (!item.is_object() || !item.contains("SpecialToken")) json.fail("single", "Sequence or SpecialToken items");
        std::string name = JsonObject(item["SpecialToken"], json.where()).string("id");
        JsonObject tokens(json.value("special_tokens"), json.where());
        JsonObject token(tokens.value(name.c_str()), json.where());
        const Json& ids = token.value("ids");
        if (!ids.is_array()) token.fail("ids", "an array");
        for (const Json& id : ids) (seen ? out.after : out.before).push_back(read_id(id, json.where(), name));
    }
    if (!seen) throw input_error("tokenizer.unsupported", json.where(), "a template without the text in it");
    return out;
}

// ["<s>", 0], as RobertaProcessing and BertProcessing write their tokens.
std::int32_t read_named(const JsonObject& json, const char* key) {
    const Json& pair = json.value(key);
    if (!pair.is_array() || pair.size() != 2) json.fail(key, "a token and its id");
    return read_id(pair[1], json.where(), key);
}

}  // namespace

PostProcessor read_post_processor(const Json& value, const std::string& where) {
    if (value.is_null()) return {};
    JsonObject json(value, where + ": post_processor");
    std::string type = json.string("type");
    if (type == "TemplateProcessing") return read_template(json);
    if (type == "ByteLevel") return {};  // changes offsets alone
    if (type == "RobertaProcessing" || type == "BertProcessing")
        return {{read_named(json, "cls")}, {read_named(json, "sep")}};
    if (type == "Sequence") {
        const Json& list = json.value("processors");
        if (!list.is_array()) json.fail("processors", "an array");
        PostProcessor out;
        for (const Json& item : list) {
            auto part = read_post_processor(item, where);
            out.before.insert(out.before.begin(), part.before.begin(), part.before.end());
            out.after.insert(out.after.end(), part.after.begin(), part.after.end());
        }
        return out;
    }
    throw input_error("tokenizer.unsupported", where, "the post-processor \"" + type + "\" is not supported");
}

}  // namespace qlora::tokenizer
