#include "core/tokenizer/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/tokenizer/byte_alphabet.h"
#include "core/tokenizer/word_cache.h"

namespace qlora::tokenizer {
namespace {

constexpr double unk_penalty = 10;

std::size_t character_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

}  // namespace

Unigram::Unigram(Vocabulary vocabulary, std::vector<double> scores, std::int32_t unk, bool byte_fallback)
    : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), unk_(unk), byte_fallback_(byte_fallback) {
    double lowest = std::numeric_limits<double>::infinity();
    for (double score : scores_) lowest = std::min(lowest, score);
    unk_score_ = lowest - unk_penalty;
    std::vector<std::pair<std::string_view, std::int32_t>> keys;
    for (std::int32_t id = 0; id < vocabulary_.size(); ++id)
        if (vocabulary_.find(vocabulary_.token(id)) == id) keys.emplace_back(vocabulary_.token(id), id);
    trie_ = PrefixTrie(std::move(keys));
    for (int byte = 0; byte < 256; ++byte) fallbacks_[byte] = vocabulary_.find(byte_token_spelling(byte)).value_or(-1);
}

void Unigram::set_special(const std::vector<std::int32_t>& ids) {
    special_.assign(vocabulary_.size(), false);
    for (auto id : ids)
        if (id >= 0 && id < vocabulary_.size() && id != unk_) special_[id] = true;
}

class UnigramSession : public Model::Session {
  public:
    UnigramSession(const Unigram& model, bool literal) : model_(model), literal_(literal && !model.special_.empty()) {}

    void encode(std::string_view piece, Tokens& out) override {
        if (auto known = cache_.get(piece)) {
            for (std::size_t i = 0; i < known->ids.size(); ++i) out.add(known->ids[i], known->begin[i]);
            return;
        }
        std::size_t first = out.ids.size();
        search(piece, out);
        cache_.put(piece, std::span(out.ids).subspan(first), std::span(out.begin).subspan(first), 0);
    }

  private:
    // The best way to a byte: the token that ends there. start < 0: none yet.
    struct Node {
        double score;
        std::int32_t length, id;
    };
    static constexpr Node unreached{0, -1, -1};

    // The nodes reach back to the last place that no token crosses: the best way to it is settled, whatever follows.
    void search(std::string_view piece, Tokens& out) {
        std::size_t settled = 0, reach = 0;
        nodes_.assign(1, unreached);
        unknown_ = npos;
        for (std::size_t at = 0; at < piece.size();) {
            if (at == reach && at != settled) {
                settle(piece, settled, at, out);
                nodes_[0] = {nodes_[at - settled].score, -1, -1};
                nodes_.resize(1);
                settled = at;
            }
            double score = nodes_[at - settled].score;
            std::size_t length = character_length(static_cast<unsigned char>(piece[at]));
            bool covered = false;
            auto node = PrefixTrie::root;
            for (std::size_t end = at; end < piece.size();) {
                node = model_.trie_.step(node, static_cast<unsigned char>(piece[end++]));
                if (node == PrefixTrie::none) break;
                auto id = model_.trie_.value(node);
                if (id < 0 || (literal_ && model_.special_[id])) continue;
                propose(end - settled, end - at, id, score + model_.scores_[id]);
                reach = std::max(reach, end);
                covered |= end - at == length;
            }
            if (!covered) {
                propose(at + length - settled, length, model_.unk_, score + model_.unk_score_);
                reach = std::max(reach, at + length);
            }
            at += length;
        }
        settle(piece, settled, piece.size(), out);
        flush_unknown(piece, piece.size(), out);
    }

    void propose(std::size_t end, std::size_t length, std::int32_t id, double score) {
        if (end >= nodes_.size()) nodes_.resize(end + 1, unreached);
        Node& node = nodes_[end];
        if (node.length < 0 || score > node.score) node = {score, static_cast<std::int32_t>(length), id};
    }

    void settle(std::string_view piece, std::size_t from, std::size_t to, Tokens& out) {
        path_.clear();
        for (std::size_t end = to; end > from; end -= nodes_[end - from].length) path_.push_back(nodes_[end - from]);
        std::size_t at = from;
        for (auto step = path_.rbegin(); step != path_.rend(); ++step) {
            if (step->id == model_.unk_ || step->id < 0) {
                if (unknown_ == npos) unknown_ = at;
            } else {
                flush_unknown(piece, at, out);
                out.add(step->id, static_cast<std::uint32_t>(at));
            }
            at += step->length;
        }
    }

    void flush_unknown(std::string_view piece, std::size_t end, Tokens& out) {
        if (unknown_ == npos) return;
        std::size_t begin = std::exchange(unknown_, npos);
        std::string_view run = piece.substr(begin, end - begin);
        auto known = model_.byte_fallback_ ? model_.vocabulary_.find(run) : std::nullopt;
        if (known && !(literal_ && model_.special_[*known])) return out.add(*known, static_cast<std::uint32_t>(begin));
        bool bytes = model_.byte_fallback_ && std::all_of(run.begin(), run.end(), [&](unsigned char byte) {
                         return model_.fallbacks_[byte] >= 0;
                     });
        if (bytes) {
            for (unsigned char byte : run) out.add(model_.fallbacks_[byte], static_cast<std::uint32_t>(begin++));
            return;
        }
        if (model_.unk_ < 0)
            throw input_error("tokenizer.unk", "the model of the tokenizer",
                              "the text holds a character outside the vocabulary, and there is no unk token (unk_id)");
        out.add(model_.unk_, static_cast<std::uint32_t>(begin));
    }

    static constexpr std::size_t npos = std::string_view::npos;
    const Unigram& model_;
    bool literal_;
    WordCache cache_;
    std::vector<Node> nodes_, path_;
    std::size_t unknown_ = npos;  // where a run of unknown text began
};

std::unique_ptr<Model::Session> Unigram::session(bool literal) const {
    return std::make_unique<UnigramSession>(*this, literal);
}

std::unique_ptr<Unigram> read_unigram(const JsonObject& json) {
    for (const char* key : {"alpha", "nbest_size"})
        if (json.has(key))
            throw input_error("tokenizer.unsupported", json.where(),
                              std::string("unigram sampling (") + key + ") makes token ids random: not supported");
    const Json& list = json.value("vocab");
    if (!list.is_array() || list.empty()) json.fail("vocab", "an array of tokens and their scores");
    if (list.size() > static_cast<std::size_t>(Vocabulary::limit))
        json.fail("vocab", ("at most " + std::to_string(Vocabulary::limit) + " tokens").c_str());
    Vocabulary vocabulary;
    std::vector<double> scores;
    for (const Json& item : list) {
        bool pair = item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_number();
        if (!pair || !std::isfinite(item[1].get<double>()))
            throw input_error("json.field", json.where(), "vocab, entry " + std::to_string(scores.size()) +
                                                              ": expected a token and its score, got " + describe(item));
        vocabulary.add(item[0].get<std::string>(), static_cast<std::int32_t>(scores.size()));
        scores.push_back(item[1].get<double>());
    }
    std::int32_t unk = -1;
    if (json.has("unk_id"))
        unk = static_cast<std::int32_t>(json.integer("unk_id", 0, static_cast<std::int64_t>(scores.size()) - 1));
    return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), unk, json.boolean("byte_fallback", false));
}

}  // namespace qlora::tokenizer
