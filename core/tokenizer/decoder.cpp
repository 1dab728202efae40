#include "core/tokenizer/decoder.h"

#include <optional>

#include "core/base/error.h"
#include "core/tokenizer/byte_alphabet.h"
#include "core/tokenizer/pattern.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

// A stage that needs each token whole.
class TokenStage : public DecodeStage {
  public:
    void push(std::string_view text, bool ends, const FragmentSink& out) final {
        if (ends && pending_.empty()) return token(text, out);
        pending_ += text;
        if (!ends) return;
        std::string whole = std::exchange(pending_, {});
        token(whole, out);
    }

  protected:
    virtual void token(std::string_view text, const FragmentSink& out) = 0;

  private:
    std::string pending_;
};

// What no decoder means: tokens with spaces between them.
class JoinBySpaces : public TokenStage {
    void token(std::string_view text, const FragmentSink& out) override {
        if (!std::exchange(first_, false)) out(" ", false);
        out(text, true);
    }
    bool first_ = true;
};

// Spellings in the byte alphabet back to bytes, and these to text; a spelling outside of it stands for itself.
class ByteLevelStage : public TokenStage {
    void token(std::string_view text, const FragmentSink& out) override {
        if (auto bytes = spelled_bytes(text))
            bytes_ += *bytes;
        else
            bytes_ += text;
        emit(false, out);
    }

    void finish(const FragmentSink& out) override {
        emit(true, out);
        out("", true);
    }

    void emit(bool all, const FragmentSink& out) {
        std::string text;
        std::size_t at = 0;
        while (at < bytes_.size()) {
            auto character = utf8_at(bytes_, at);
            if (character.incomplete && !all) break;
            text += character.valid ? std::string_view(bytes_).substr(at, character.length) : replacement_character;
            at += character.length;
        }
        bytes_.erase(0, at);
        if (!text.empty()) out(text, false);
    }

    std::string bytes_;
};

// Runs of byte tokens become text; a run that is not UTF-8 becomes one U+FFFD a byte.
class ByteFallbackStage : public TokenStage {
    void token(std::string_view text, const FragmentSink& out) override {
        int byte = byte_token(text);
        if (byte >= 0) {
            bytes_ += static_cast<char>(byte);
            return;
        }
        flush(out);
        out(text, true);
    }

    void finish(const FragmentSink& out) override { flush(out); }

    void flush(const FragmentSink& out) {
        if (bytes_.empty()) return;
        if (is_utf8(bytes_))
            out(bytes_, true);
        else
            for (std::size_t i = 0; i < bytes_.size(); ++i) out(replacement_character, true);
        bytes_.clear();
    }

    std::string bytes_;
};

class FuseStage : public DecodeStage {
    void push(std::string_view text, bool, const FragmentSink& out) override {
        if (!text.empty()) out(text, false);
    }
    void finish(const FragmentSink& out) override { out("", true); }
};

// Takes up to `start` of a character from the start of each token, and up to `stop` from its end.
class StripStage : public DecodeStage {
  public:
    StripStage(std::string content, std::size_t start, std::size_t stop)
        : content_(std::move(content)), start_(start), stop_(stop), left_(start) {}

    void push(std::string_view text, bool ends, const FragmentSink& out) override {
        while (left_ > 0 && text.starts_with(content_)) {
            text.remove_prefix(content_.size());
            --left_;
        }
        if (!text.empty()) left_ = 0;
        held_ += text;
        std::size_t keep = held_.size(), run = 0;
        while (keep >= content_.size() && run < stop_ &&
               std::string_view(held_).substr(keep - content_.size(), content_.size()) == content_) {
            keep -= content_.size();
            ++run;
        }
        if (ends || keep > 0) out(std::string_view(held_).substr(0, keep), ends);
        held_.erase(0, keep);
        if (!ends) return;
        held_.clear();
        left_ = start_;
    }

  private:
    std::string content_;
    std::size_t start_, stop_, left_;
    std::string held_;
};

class ReplaceStage : public TokenStage {
  public:
    ReplaceStage(std::shared_ptr<const Pattern> pattern, std::string content)
        : pattern_(std::move(pattern)), content_(std::move(content)) {}

  private:
    void token(std::string_view text, const FragmentSink& out) override {
        Matcher matcher(*pattern_, text);
        std::string replaced;
        std::size_t done = 0;
        while (done < text.size() && matcher.next(done) && matcher.end() > matcher.begin()) {
            replaced += text.substr(done, matcher.begin() - done);
            replaced += content_;
            done = matcher.end();
        }
        replaced += text.substr(done);
        out(replaced, true);
    }

    std::shared_ptr<const Pattern> pattern_;
    std::string content_;
};

class MetaspaceStage : public TokenStage {
  public:
    MetaspaceStage(std::string replacement, bool prepended)
        : replacement_(std::move(replacement)), prepended_(prepended) {}

  private:
    void token(std::string_view text, const FragmentSink& out) override {
        std::string spaced;
        for (std::size_t at = 0; at < text.size();) {
            if (!text.substr(at).starts_with(replacement_)) {
                spaced += text[at++];
                continue;
            }
            if (!first_ || !prepended_) spaced += ' ';
            at += replacement_.size();
        }
        first_ = false;
        out(spaced, true);
    }

    std::string replacement_;
    bool prepended_, first_ = true;
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
}

class WordPieceStage : public TokenStage {
  public:
    WordPieceStage(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}

  private:
    void token(std::string_view text, const FragmentSink& out) override {
        std::string word(text);
        if (!std::exchange(first_, false)) {
            if (text.starts_with(prefix_))
                word.erase(0, prefix_.size());
            else
                word.insert(0, " ");
        }
        static constexpr std::string_view closing[][2] = {
            {" .", "."},     {" ?", "?"},   {" !", "!"},            {" ,", ","},   {" ' ", "'"},  {" n't", "n't"},
            {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
        for (const auto& [from, to] : closing)
            if (cleanup_) replace_all(word, from, to);
        out(word, true);
    }

    std::string prefix_;
    bool cleanup_, first_ = true;
};

// A suffix marks the end of a word: a space, but for the last token.
class WordSuffixStage : public TokenStage {
  public:
    explicit WordSuffixStage(std::string suffix) : suffix_(std::move(suffix)) {}

  private:
    void token(std::string_view text, const FragmentSink& out) override {
        if (held_) emit(" ", out);
        held_ = std::string(text);
    }
    void finish(const FragmentSink& out) override {
        if (held_) emit("", out);
    }
    void emit(std::string_view space, const FragmentSink& out) {
        if (!suffix_.empty()) replace_all(*held_, suffix_, space);
        out(*held_, true);
    }

    std::string suffix_;
    std::optional<std::string> held_;
};

template <class Stage, class... Arguments>
DecodeStageFactory make(Arguments... arguments) {
    return [=] { return std::make_unique<Stage>(arguments...); };
}

std::string one_character(const JsonObject& json, const char* key) {
    std::string text = json.string(key);
    if (character_count(text) != 1) json.fail(key, "one character");
    return text;
}

}  // namespace

int byte_token(std::string_view text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
    auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
    int high = digit(text[3]), low = digit(text[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

std::vector<DecodeStageFactory> read_decoder(const Json& value, const std::string& where) {
    if (value.is_null()) return {make<JoinBySpaces>()};
    JsonObject json(value, where + ": decoder");
    std::string type = json.string("type");
    if (type == "Sequence") {
        const Json& list = json.value("decoders");
        if (!list.is_array()) json.fail("decoders", "an array");
        std::vector<DecodeStageFactory> stages;
        for (const Json& item : list) {
            auto part = read_decoder(item, where);
            stages.insert(stages.end(), part.begin(), part.end());
        }
        return stages;
    }
    if (type == "ByteLevel") return {make<ByteLevelStage>()};
    if (type == "ByteFallback") return {make<ByteFallbackStage>()};
    if (type == "Fuse") return {make<FuseStage>()};
    if (type == "Strip")
        return {make<StripStage>(one_character(json, "content"),
                                 static_cast<std::size_t>(json.integer("start", 0, 1 << 20, 0)),
                                 static_cast<std::size_t>(json.integer("stop", 0, 1 << 20, 0)))};
    if (type == "Replace") {
        JsonObject pattern(json.value("pattern"), json.where());
        auto compiled = std::make_shared<const Pattern>(pattern.has("String")
                                                            ? Pattern::literal(pattern.string("String"))
                                                            : Pattern::regex(pattern.string("Regex"), json.where()));
        return {make<ReplaceStage>(std::move(compiled), json.string("content"))};
    }
    if (type == "Metaspace") {
        std::string scheme = json.string("prepend_scheme", json.boolean("add_prefix_space", true) ? "always" : "never");
        return {make<MetaspaceStage>(one_character(json, "replacement"), scheme != "never")};
    }
    if (type == "WordPiece") return {make<WordPieceStage>(json.string("prefix", "##"), json.boolean("cleanup", true))};
    if (type == "BPEDecoder") return {make<WordSuffixStage>(json.string("suffix", "</w>"))};
    throw input_error("tokenizer.unsupported", where, "the decoder \"" + type + "\" is not supported");
}

DecodeStream::DecodeStream(const std::vector<DecodeStageFactory>& stages) {
    for (const auto& make_stage : stages) stages_.push_back(make_stage());
}

void DecodeStream::run(std::size_t stage, std::string_view text, bool ends, std::string& out) {
    if (stage == stages_.size()) {
        out += text;
        return;
    }
    stages_[stage]->push(text, ends, [&](std::string_view next, bool next_ends) { run(stage + 1, next, next_ends, out); });
}

std::string DecodeStream::push(std::string_view spelling) {
    std::string out;
    run(0, spelling, true, out);
    return out;
}

std::string DecodeStream::finish() {
    std::string out;
    for (std::size_t stage = 0; stage < stages_.size(); ++stage)
        stages_[stage]->finish([&](std::string_view text, bool ends) { run(stage + 1, text, ends, out); });
    return out;
}

}  // namespace qlora::tokenizer
