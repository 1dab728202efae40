#include "core/tokenizer/graphemes.h"

#include <unicode/uchar.h>

#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

// Marks of Unicode 16 and 17, which ICU 72 does not know.
constexpr char32_t new_marks[][2] = {
    {0x897, 0x897},     {0x1ACF, 0x1ADD},   {0x1AE0, 0x1AEB},   {0x10D69, 0x10D6D}, {0x10EFA, 0x10EFC},
    {0x113B8, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D0},
    {0x113D2, 0x113D2}, {0x113E1, 0x113E2}, {0x11B60, 0x11B67}, {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F},
    {0x1E5EE, 0x1E5EF}, {0x1E6E3, 0x1E6E3}, {0x1E6E6, 0x1E6E6}, {0x1E6EE, 0x1E6EF}, {0x1E6F5, 0x1E6F5}};

UGraphemeClusterBreak break_class(char32_t c) {
    if (c >= 0x20 && c < 0x7F) return U_GCB_OTHER;
    auto kind = u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_GRAPHEME_CLUSTER_BREAK);
    if (kind == U_GCB_OTHER || kind == U_GCB_CONTROL)
        for (const auto& [first, last] : new_marks)
            if (c >= first && c <= last) return U_GCB_EXTEND;
    return static_cast<UGraphemeClusterBreak>(kind);
}

bool is_pictograph(char32_t c) { return c >= 0xA9 && u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_EXTENDED_PICTOGRAPHIC); }

bool is_control_like(UGraphemeClusterBreak kind) { return kind == U_GCB_CONTROL || kind == U_GCB_CR || kind == U_GCB_LF; }

}  // namespace

std::size_t cluster_end(std::string_view text, std::size_t at) {
    char32_t character = next_character(text, at);
    auto kind = break_class(character);
    bool pictograph = is_pictograph(character);  // a pictograph and its marks, up to here
    std::size_t regional = kind == U_GCB_REGIONAL_INDICATOR;
    while (at < text.size()) {
        std::size_t next = at;
        char32_t following = next_character(text, next);
        auto follows = break_class(following);
        bool joins;
        if (kind == U_GCB_CR) joins = follows == U_GCB_LF;
        else if (is_control_like(kind) || is_control_like(follows)) joins = false;
        else if (follows == U_GCB_EXTEND || follows == U_GCB_ZWJ || follows == U_GCB_SPACING_MARK || kind == U_GCB_PREPEND) joins = true;
        else if (kind == U_GCB_L) joins = follows == U_GCB_L || follows == U_GCB_V || follows == U_GCB_LV || follows == U_GCB_LVT;
        else if (kind == U_GCB_LV || kind == U_GCB_V) joins = follows == U_GCB_V || follows == U_GCB_T;
        else if (kind == U_GCB_LVT || kind == U_GCB_T) joins = follows == U_GCB_T;
        else if (kind == U_GCB_ZWJ) joins = pictograph && is_pictograph(following);
        else if (kind == U_GCB_REGIONAL_INDICATOR) joins = follows == U_GCB_REGIONAL_INDICATOR && regional % 2 == 1;
        else joins = false;
        if (!joins) break;
        if (follows == U_GCB_REGIONAL_INDICATOR) ++regional;
        pictograph = is_pictograph(following) || (pictograph && (follows == U_GCB_EXTEND || follows == U_GCB_ZWJ));
        kind = follows;
        at = next;
    }
    return at;
}

}  // namespace qlora::tokenizer
