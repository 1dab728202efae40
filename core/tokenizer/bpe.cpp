#include "core/tokenizer/bpe.h"

#include <bit>
#include <charconv>

#include "core/base/error.h"
#include "core/tokenizer/byte_alphabet.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";

}  // namespace

MergeTable::MergeTable(std::size_t count) : slots_(std::bit_ceil(std::max<std::size_t>(count * 2, 16))) {
    mask_ = slots_.size() - 1;
}

void MergeTable::add(std::int32_t left, std::int32_t right, Merge merge) {
    std::uint64_t key = pack(left, right);
    std::size_t slot = hash(key) & mask_;
    while (slots_[slot].key != key && slots_[slot].key != free_key) slot = (slot + 1) & mask_;
    slots_[slot] = {key, merge};
}

Bpe::Bpe(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges, BpeOptions options,
         const std::string& where)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), merges_(merges.size()) {
    auto id_of = [&](const std::string& token, std::size_t rank) {
        auto id = vocabulary_.find(token);
        if (!id)
            throw input_error("tokenizer.merges", where,
                              "merge " + std::to_string(rank) + " needs the token " + describe(Json(token)) +
                                  ", which the vocabulary lacks");
        return *id;
    };
    // An unk outside the vocabulary does no harm until a character needs it.
    if (options_.unk) unk_ = vocabulary_.find(*options_.unk).value_or(missing_unk);
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
        const auto& [left, right] = merges[rank];
        std::string_view tail = right;
        if (tail.starts_with(options_.continuing_prefix)) tail.remove_prefix(options_.continuing_prefix.size());
        merges_.add(id_of(left, rank), id_of(right, rank),
                    {static_cast<std::int32_t>(rank), id_of(left + std::string(tail), rank)});
    }
    for (int byte = 0; byte < 256; ++byte) {
        std::string spelling;
        append_utf8(spelling, options_.byte_level ? byte_character(static_cast<std::uint8_t>(byte)) : byte);
        bytes_[byte] = options_.byte_level || byte < 128 ? vocabulary_.find(spelling).value_or(-1) : -1;
        fallbacks_[byte] = options_.byte_fallback ? vocabulary_.find(byte_token_spelling(byte)).value_or(-1) : -1;
    }
    for (std::int32_t id = 0; options_.ignore_merges && id < vocabulary_.size(); ++id) {
        if (!vocabulary_.has(id)) continue;
        const std::string& token = vocabulary_.token(id);
        auto text = options_.byte_level ? spelled_bytes(token) : std::optional(token);
        if (text) whole_.insert_or_assign(std::move(*text), id);
    }
    cuts_at_space_mark_ = words_start_with_space_mark();
}

// Merging never joins what no token joins. Where U+2581 only opens tokens, the words it opens are independent of each
// other, which turns one text-long piece into words that can be remembered.
bool Bpe::words_start_with_space_mark() const {
    if (options_.byte_level || options_.ignore_merges || !options_.continuing_prefix.empty() ||
        !options_.word_suffix.empty() || !vocabulary_.find(space_mark))
        return false;
    for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
        std::string_view token = vocabulary_.token(id);
        while (token.starts_with(space_mark)) token.remove_prefix(space_mark.size());
        if (token.find(space_mark) != std::string_view::npos) return false;
    }
    return true;
}

std::int32_t Bpe::find_symbol(std::string_view character, bool first, bool last) const {
    bool plain = (first || options_.continuing_prefix.empty()) && (!last || options_.word_suffix.empty());
    if (plain && (options_.byte_level || character.size() == 1)) return bytes_[static_cast<unsigned char>(character[0])];
    if (plain) return vocabulary_.find(character).value_or(-1);
    std::string spelling = first ? "" : options_.continuing_prefix;
    spelling += options_.byte_level ? byte_spelling(character) : character;
    if (last) spelling += options_.word_suffix;
    return vocabulary_.find(spelling).value_or(-1);
}

void Bpe::set_special(const std::vector<std::int32_t>& ids) {
    special_.assign(vocabulary_.size(), false);
    for (auto id : ids)
        if (id >= 0 && id < vocabulary_.size() && id != unk_) special_[id] = true;
}

std::string Bpe::kind() const {
    return options_.byte_level ? "byte-level BPE" : options_.byte_fallback ? "BPE with byte fallback" : "BPE";
}

std::unique_ptr<Bpe> read_bpe(const JsonObject& json, bool byte_level) {
    if (json.has("dropout") && json.number("dropout", 0, 1) != 0)
        throw input_error("tokenizer.unsupported", json.where(), "BPE dropout makes token ids random: not supported");
    BpeOptions options;
    options.byte_level = byte_level;
    options.byte_fallback = json.boolean("byte_fallback", false);
    options.fuse_unk = json.boolean("fuse_unk", false);
    options.ignore_merges = json.boolean("ignore_merges", false);
    if (json.has("unk_token")) options.unk = json.string("unk_token");
    options.continuing_prefix = json.string("continuing_subword_prefix", "");
    options.word_suffix = json.string("end_of_word_suffix", "");

    Vocabulary vocabulary = read_vocabulary(json);
    const Json& list = json.value("merges");
    if (!list.is_array()) json.fail("merges", "an array");
    std::vector<std::pair<std::string, std::string>> merges;
    merges.reserve(list.size());
    for (const Json& item : list) {
        bool pair = item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string();
        // Older files write "left right".
        auto space = item.is_string() ? item.get_ref<const std::string&>().find(' ') : std::string::npos;
        if (!pair && space == std::string::npos)
            throw input_error("tokenizer.merges", json.where(),
                              "merge " + std::to_string(merges.size()) + ": expected two tokens, got " + describe(item));
        if (pair) {
            merges.emplace_back(item[0], item[1]);
        } else {
            const auto& text = item.get_ref<const std::string&>();
            merges.emplace_back(text.substr(0, space), text.substr(space + 1));
        }
    }
    return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options), json.where());
}

}  // namespace qlora::tokenizer
