#include <algorithm>
#include <queue>

#include "core/base/error.h"
#include "core/tokenizer/bpe.h"
#include "core/tokenizer/unicode.h"
#include "core/tokenizer/word_cache.h"

namespace qlora::tokenizer {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581, sentencepiece's blank
// Up to here, looking over all pairs for the best one is quicker than keeping a heap of them.
constexpr std::size_t short_word = 48;

}  // namespace

class BpeSession : public Model::Session {
  public:
    BpeSession(const Bpe& model, bool literal) : model_(model), literal_(literal && !model.special_.empty()) {}

    void encode(std::string_view piece, Tokens& out) override {
        if (piece.size() > INT32_MAX)
            throw input_error("tokenizer.text_size", "the text", "expected pieces of at most 2 GiB");
        if (!model_.cuts_at_space_mark_) return word(piece, 0, out);
        for (std::size_t begin = 0; begin < piece.size();) {
            std::size_t end = word_end(piece, begin);
            word(piece.substr(begin, end - begin), static_cast<std::uint32_t>(begin), out);
            begin = end;
        }
    }

  private:
    struct Symbol {
        std::int32_t id;
        std::uint32_t begin;
        std::int32_t previous, next;  // -1: none
    };
    struct Candidate {
        std::int32_t rank, at, id;
        bool operator>(const Candidate& other) const { return std::pair(rank, at) > std::pair(other.rank, other.at); }
    };

    static std::size_t word_end(std::string_view piece, std::size_t begin) {
        std::size_t at = begin;
        while (piece.substr(at).starts_with(space_mark)) at += space_mark.size();
        return std::min(piece.find(space_mark, at), piece.size());
    }

    bool allowed(std::int32_t id) const { return !literal_ || !model_.special_[id]; }

    MergeTable::Merge merge(std::int32_t left, std::int32_t right) const {
        auto found = model_.merges_.find(left, right);
        return found.rank < 0 || allowed(found.id) ? found : MergeTable::Merge{};
    }

    void word(std::string_view text, std::uint32_t base, Tokens& out) {
        if (text.empty()) return;
        if (auto known = cache_.get(text)) {
            for (std::size_t i = 0; i < known->ids.size(); ++i) out.add(known->ids[i], base + known->begin[i]);
            return;
        }
        std::size_t first = out.ids.size();
        if (!whole(text, base, out)) {
            read_symbols(text, base);
            if (symbols_.size() <= short_word)
                merge_short();
            else
                merge_long();
            for (const Symbol& symbol : symbols_)
                if (symbol.id >= 0) out.add(symbol.id, symbol.begin);
        }
        cache_.put(text, std::span(out.ids).subspan(first), std::span(out.begin).subspan(first), base);
    }

    bool whole(std::string_view text, std::uint32_t base, Tokens& out) const {
        if (!model_.options_.ignore_merges) return false;
        auto found = model_.whole_.find(text);
        if (found == model_.whole_.end() || !allowed(found->second)) return false;
        out.add(found->second, base);
        return true;
    }

    void read_symbols(std::string_view text, std::uint32_t base) {
        symbols_.clear();
        unknown_ = {};
        for (std::size_t at = 0; at < text.size();) {
            std::size_t end = at + 1;
            if (!model_.options_.byte_level)
                while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;
            character(text.substr(at, end - at), at == 0, end == text.size(), base + static_cast<std::uint32_t>(at));
            at = end;
        }
        flush_unknown();
    }

    void character(std::string_view text, bool first, bool last, std::uint32_t begin) {
        auto id = model_.find_symbol(text, first, last);
        if (id >= 0 && allowed(id)) {
            flush_unknown();
            symbols_.push_back({id, begin, 0, 0});
            return;
        }
        if (model_.options_.byte_fallback && fallback(text, begin)) return;
        if (model_.unk_ == Bpe::no_unk) return;
        if (model_.unk_ == Bpe::missing_unk)
            throw input_error("tokenizer.unk", "the model of the tokenizer",
                              "the text holds a character outside the vocabulary, and the unk token " +
                                  describe(Json(*model_.options_.unk)) + " is not in the vocabulary either");
        if (unknown_ && !model_.options_.fuse_unk) flush_unknown();
        if (!unknown_) unknown_ = begin;
    }

    bool fallback(std::string_view text, std::uint32_t begin) {
        for (unsigned char byte : text)
            if (model_.fallbacks_[byte] < 0) return false;
        for (unsigned char byte : text) symbols_.push_back({model_.fallbacks_[byte], begin++, 0, 0});
        return true;
    }

    void flush_unknown() {
        // After bytes of a fallback that do not end a run of unknown text, unk keeps the order of the offsets.
        if (unknown_)
            symbols_.push_back(
                {model_.unk_, symbols_.empty() ? *unknown_ : std::max(*unknown_, symbols_.back().begin), 0, 0});
        unknown_.reset();
    }

    void merge_short() {
        MergeTable::Merge pairs[short_word];
        std::size_t count = symbols_.size();
        if (count < 2) return;
        for (std::size_t i = 0; i + 1 < count; ++i) pairs[i] = merge(symbols_[i].id, symbols_[i + 1].id);
        for (;;) {
            std::size_t best = count;
            for (std::size_t i = 0; i + 1 < count; ++i)
                if (pairs[i].rank >= 0 && (best == count || pairs[i].rank < pairs[best].rank)) best = i;
            if (best == count) break;
            symbols_[best].id = pairs[best].id;
            std::move(symbols_.begin() + best + 2, symbols_.begin() + count, symbols_.begin() + best + 1);
            if (best + 2 < count) std::move(pairs + best + 2, pairs + count - 1, pairs + best + 1);
            --count;
            if (best > 0) pairs[best - 1] = merge(symbols_[best - 1].id, symbols_[best].id);
            if (best + 1 < count) pairs[best] = merge(symbols_[best].id, symbols_[best + 1].id);
        }
        symbols_.resize(count);
    }

    void merge_long() {
        auto count = static_cast<std::int32_t>(symbols_.size());
        candidates_.clear();
        for (std::int32_t i = 0; i < count; ++i) {
            symbols_[i].previous = i - 1;
            symbols_[i].next = i + 1 < count ? i + 1 : -1;
            if (i + 1 == count) break;
            if (auto found = merge(symbols_[i].id, symbols_[i + 1].id); found.rank >= 0)
                candidates_.push_back({found.rank, i, found.id});
        }
        std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
        while (!candidates_.empty()) {
            std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>());
            Candidate top = candidates_.back();
            candidates_.pop_back();
            Symbol& left = symbols_[top.at];
            if (left.id < 0 || left.next < 0) continue;
            Symbol& right = symbols_[left.next];
            if (merge(left.id, right.id).id != top.id) continue;  // one of the two has merged otherwise since
            left.id = top.id;
            right.id = -1;
            left.next = right.next;
            if (right.next >= 0) symbols_[right.next].previous = top.at;
            if (left.previous >= 0) propose(left.previous, symbols_[left.previous].id, left.id);
            if (left.next >= 0) propose(top.at, left.id, symbols_[left.next].id);
        }
    }

    void propose(std::int32_t at, std::int32_t left, std::int32_t right) {
        auto found = merge(left, right);
        if (found.rank < 0) return;
        candidates_.push_back({found.rank, at, found.id});
        std::push_heap(candidates_.begin(), candidates_.end(), std::greater<>());
    }

    const Bpe& model_;
    bool literal_;
    WordCache cache_;
    std::vector<Symbol> symbols_;
    std::vector<Candidate> candidates_;
    std::optional<std::uint32_t> unknown_;  // where a run of unknown text began
};

std::unique_ptr<Model::Session> Bpe::session(bool literal) const { return std::make_unique<BpeSession>(*this, literal); }

}  // namespace qlora::tokenizer
