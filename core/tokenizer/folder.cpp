// A tokenizer from a folder in Hugging Face layout.

#include <charconv>
#include <map>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/pipeline.h"
#include "core/tokenizer/sentencepiece_pipeline.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/tokenizer_json.h"
#include "core/tokenizer/vocabulary_files.h"

namespace qlora::tokenizer {
namespace {

constexpr const char* named_keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                      "pad_token", "cls_token", "mask_token"};

class Folder {
  public:
    explicit Folder(const std::filesystem::path& path) : path_(path) {}

    std::unique_ptr<const Pipeline> load() {
        read_config();
        if (has("tokenizer.json")) {
            std::string name = (path_ / "tokenizer.json").string();
            pipeline_ = read_tokenizer_json(parse_json(keep("tokenizer.json"), name), name);
        } else {
            load_vocabulary_files();
        }
        add_config_tokens();
        for (const auto& name : before_) stand(name, pipeline_->post_processor.before);
        for (const auto& name : after_) stand(name, pipeline_->post_processor.after);
        if (config_.contains("chat_template")) read_template(config_["chat_template"]);
        if (has("chat_template.jinja")) pipeline_->chat_template = keep("chat_template.jinja");
        for (const char* other : {"added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model"})
            if (has(other) && !kept(other)) keep(other);
        pipeline_->files = std::move(files_);
        pipeline_->seal();
        return std::move(pipeline_);
    }

  private:
    void load_vocabulary_files() {
        std::string where = (path_ / "config.json").string();
        std::string family =
            tokenizer_class(config_, has("config.json") ? parse_json(read_file(where, std::size_t{64} << 20), where) : Json());
        for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
            if (!has(name)) continue;
            const std::string& file = keep(name);
            where = (path_ / name).string();
            if (converts_sentencepiece(family))
                return take(convert_sentencepiece(file, where, family, config_));
            pipeline_ = read_sentencepiece(file, where, config_);
            return;
        }
        if (has("vocab.json") && has("merges.txt")) {
            where = (path_ / "vocab.json").string();
            std::string merges = keep("merges.txt");
            return take(read_vocab_and_merges(parse_json(keep("vocab.json"), where), merges, where,
                                              (path_ / "merges.txt").string(), family, config_));
        }
        if (has("vocab.txt")) return take(read_vocab_txt(keep("vocab.txt"), (path_ / "vocab.txt").string(), config_));
        throw input_error("tokenizer.missing", path_.string(),
                          "expected tokenizer.json, tokenizer.model, spiece.model, vocab.json with merges.txt, or "
                          "vocab.txt in the folder, found none",
                          "Download the model's tokenizer files into the folder.");
    }

    void take(VocabularyFiles files) {
        pipeline_ = std::move(files.pipeline);
        before_ = std::move(files.before);
        after_ = std::move(files.after);
    }

    void stand(const std::string& name, std::vector<std::int32_t>& ids) {
        if (auto id = pipeline_->named(name)) ids.push_back(*id);
    }

    bool has(const char* name) const {
        std::error_code ignored;
        return std::filesystem::exists(path_ / name, ignored);
    }
    bool kept(std::string_view name) const {
        for (const auto& [kept_name, content] : files_)
            if (kept_name == name) return true;
        return false;
    }
    const std::string& keep(const char* name) {
        return files_.emplace_back(name, read_file(path_ / name, std::size_t{256} << 20)).second;
    }

    void read_config() {
        auto object = [&](const char* name) {
            if (!has(name)) return Json::object();
            std::string where = (path_ / name).string();
            Json json = parse_json(keep(name), where);
            JsonObject checked(json, where);
            return json;
        };
        config_ = object("tokenizer_config.json");
        Json map = object("special_tokens_map.json");
        // Since added_tokens_decoder, tokenizer_config.json says it all.
        if (config_.contains("added_tokens_decoder")) return;
        for (const auto& [key, value] : map.items()) config_[key] = value;
    }

    std::string where(const std::string& key) const { return (path_ / "tokenizer_config.json").string() + ": " + key; }

    // A token is its spelling, or an object that has more to say.
    AddedToken read_token(const std::string& key, const Json& value) const {
        AddedToken token;
        token.normalized = false;
        if (value.is_string()) {
            token.content = value.get<std::string>();
            if (const AddedToken* known = pipeline_->added.find(token.content)) token = *known;
        } else {
            token = read_added_token(JsonObject(value, where(key)), false);
        }
        return token;
    }

    // Before added_tokens_decoder, the ids of added tokens had a file of their own.
    void add_listed_tokens() {
        if (config_.contains("added_tokens_decoder") || !has("added_tokens.json")) return;
        std::string name = (path_ / "added_tokens.json").string();
        Json list = parse_json(keep("added_tokens.json"), name);
        JsonObject checked(list, name);
        std::map<std::int64_t, std::string> by_id;
        for (const auto& [content, ignored] : list.items())
            by_id[checked.integer(content.c_str(), 0, Vocabulary::limit - 1)] = content;
        for (const auto& [id, content] : by_id) {
            if (pipeline_->added.find(content)) continue;
            AddedToken token;
            token.content = content;
            add_in_turn(std::move(token));
        }
    }

    // As the library adds a token: where the vocabulary lacks it, with the next free id, whatever a file says.
    void add_in_turn(AddedToken token) {
        token.id = pipeline_->find(token.content).value_or(pipeline_->vocabulary_size());
        pipeline_->added.add(std::move(token));
    }

    void add_config_tokens() {
        add_decoder_tokens();
        add_listed_tokens();
        for (const char* key : named_keys) {
            auto value = config_.find(key);
            if (value == config_.end() || value->is_null()) continue;
            AddedToken token = read_token(key, *value);
            if (token.content.empty()) continue;
            pipeline_->named_tokens.emplace_back(key, token.content);
            pipeline_->add_special(std::move(token));
        }
        for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
            auto list = config_.find(key);
            if (list == config_.end() || !list->is_array()) continue;
            for (const Json& value : *list) pipeline_->add_special(read_token(key, value));
        }
    }

    void add_decoder_tokens() {
        auto decoder = config_.find("added_tokens_decoder");
        if (decoder == config_.end()) return;
        if (!decoder->is_object())
            throw input_error("json.field", where("added_tokens_decoder"), "expected an object, got " + describe(*decoder));
        std::map<std::int32_t, const Json*> by_id;
        for (const auto& [key, value] : decoder->items()) {
            std::int32_t id = -1;
            auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
            if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= Vocabulary::limit)
                throw input_error("json.field", where("added_tokens_decoder"),
                                  "expected ids from 0 to " + std::to_string(Vocabulary::limit - 1) + " as keys, got " +
                                      describe(Json(key)));
            by_id[id] = &value;
        }
        for (const auto& [id, value] : by_id) {
            JsonObject object(*value, where("added_tokens_decoder"));
            AddedToken token = read_added_token(object, !object.boolean("special", false));
            add_in_turn(std::move(token));
        }
    }

    void read_template(const Json& value) {
        if (value.is_string()) pipeline_->chat_template = value.get<std::string>();
        if (!value.is_array()) return;
        for (const Json& item : value) {
            JsonObject entry(item, where("chat_template"));
            if (entry.string("name", "") == "default") pipeline_->chat_template = entry.string("template");
        }
    }

    std::filesystem::path path_;
    Json config_;
    std::unique_ptr<Pipeline> pipeline_;
    std::vector<std::string> before_, after_;  // named tokens around a text, known once their ids are
    std::vector<std::pair<std::string, std::string>> files_;
};

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& folder) {
    return std::make_shared<const Tokenizer>(Folder(folder).load());
}

}  // namespace qlora::tokenizer
