#include "core/data/split.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/data/fingerprint.h"
#include "core/data/parallel.h"

namespace qlora::data {

namespace {

const icu::Normalizer2& casefold() {
    UErrorCode status = U_ZERO_ERROR;
    const auto* instance = icu::Normalizer2::getNFKCCasefoldInstance(status);
    if (U_FAILURE(status))
        throw failure("data.unicode", "ICU",
                      std::string("cannot load NFKC_Casefold: ") + u_errorName(status));
    return *instance;
}

// Runs of white space become one space, none at the ends.
std::string squeeze(const std::string& text) {
    std::string squeezed;
    bool pending = false;
    auto length = static_cast<std::int64_t>(text.size());
    for (std::int64_t at = 0; at < length;) {
        std::int64_t begin = at;
        UChar32 c;
        U8_NEXT(text.data(), at, length, c);
        if (c >= 0 && u_isUWhiteSpace(c)) {
            pending = !squeezed.empty();
            continue;
        }
        if (pending) squeezed += ' ';
        pending = false;
        squeezed.append(text, static_cast<std::size_t>(begin), static_cast<std::size_t>(at - begin));
    }
    return squeezed;
}

std::string normalized(std::string_view text) {
    if (text.size() > INT32_MAX)
        throw input_error(
            "data.row", {},
            "expected a text of less than 2 GiB, got " + std::to_string(text.size()) + " bytes");
    std::string folded;
    icu::StringByteSink<std::string> sink(&folded, static_cast<std::int32_t>(text.size()));
    UErrorCode status = U_ZERO_ERROR;
    casefold().normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink,
                             nullptr, status);
    if (U_FAILURE(status))
        throw failure("data.unicode", "ICU", std::string("cannot normalise: ") + u_errorName(status));
    return squeeze(folded);
}

// All that a row says, its parts kept apart by control characters.
std::string joined(const std::optional<Example>& example) {
    if (!example) return {};
    if (example->messages.empty()) return normalized(example->text);
    std::string all;
    for (const Message& message : example->messages)
        all += message.role + '\x1F' + normalized(message.content) + '\x1E';
    return all;
}

TextKey key_of(std::string_view text) {
    auto hash = detail::murmur3(std::as_bytes(std::span(text.data(), text.size())));
    return {hash.high, hash.low};
}

using Groups = std::vector<std::vector<RowIndex>>;

// Rows by key, in the order of their first row.
Groups group(const std::vector<TextKey>& keys) {
    std::map<TextKey, std::size_t> seen;
    Groups groups;
    for (std::size_t row = 0; row < keys.size(); ++row) {
        auto [entry, fresh] = seen.try_emplace(keys[row], groups.size());
        if (fresh) groups.emplace_back();
        groups[entry->second].push_back(static_cast<RowIndex>(row));
    }
    return groups;
}

// Rows without content are no copies of each other.
std::vector<RowIndex> take_empty(Groups& groups, const std::vector<TextKey>& keys) {
    std::vector<RowIndex> empty;
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& members) { return keys[members[0]] == key_of({}); });
    if (found == groups.end()) return empty;
    empty = std::move(*found);
    groups.erase(found);
    return empty;
}

std::size_t wanted_rows(double part, std::size_t rows, const char* field) {
    if (!std::isfinite(part) || part < 0)
        throw input_error("data.split", field,
                          "expected a fraction below 1 or a number of rows, got " + std::to_string(part));
    if (part == 0) return 0;
    double wanted = part < 1 ? std::round(part * static_cast<double>(rows)) : std::floor(part);
    return static_cast<std::size_t>(std::clamp(wanted, 1.0, 4294967295.0));
}

// Takes groups, in their order, that still fit into `wanted` rows; when all are larger, the smallest.
std::vector<RowIndex> take(Groups& groups, std::size_t wanted) {
    std::vector<RowIndex> rows;
    if (wanted == 0) return rows;
    Groups left;
    for (auto& members : groups) {
        if (rows.size() + members.size() <= wanted)
            rows.insert(rows.end(), members.begin(), members.end());
        else
            left.push_back(std::move(members));
    }
    if (rows.empty() && !left.empty()) {
        auto smallest = std::min_element(left.begin(), left.end(),
                                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
        rows = std::move(*smallest);
        left.erase(smallest);
    }
    groups = std::move(left);
    std::sort(rows.begin(), rows.end());
    return rows;
}

}  // namespace

TextKey text_key(std::string_view text) {
    return key_of(normalized(text));
}

std::vector<TextKey> row_keys(const Table& table, const ColumnRoles& roles, const Control* control,
                              const Progress& progress) {
    require_roles(table, roles);
    std::vector<TextKey> keys(table.rows());
    detail::parallel_for(keys.size(), 0, control, progress, "comparing rows", [&](std::size_t row) {
        keys[row] = key_of(joined(read_example(table, row, roles)));
    });
    return keys;
}

Split split(const Table& table, const ColumnRoles& roles, const SplitOptions& options, const Control* control,
            const Progress& progress) {
    Split parts;
    if (options.validation == 0 && options.test == 0) {
        parts.train.resize(table.rows());
        std::iota(parts.train.begin(), parts.train.end(), RowIndex{0});
        return parts;
    }
    auto keys = row_keys(table, roles, control, progress);
    Groups groups = group(keys);
    std::vector<RowIndex> empty = take_empty(groups, keys);
    std::size_t rows = table.rows() - empty.size(), distinct = groups.size();
    std::size_t validation = wanted_rows(options.validation, rows, "data.validation_fraction");
    std::size_t test = wanted_rows(options.test, rows, "data.test_fraction");
    Groups shuffled;
    for (auto index : RandomStream(options.seed, "split").permutation(static_cast<std::uint32_t>(distinct)))
        shuffled.push_back(std::move(groups[index]));
    parts.test = take(shuffled, test);
    parts.validation = take(shuffled, validation);
    parts.train = take(shuffled, rows);
    if (parts.train.empty() || (validation > 0 && parts.validation.empty()))
        throw input_error("data.split", table.label(),
                          "cannot take " + std::to_string(validation) + " rows for validation and " +
                              std::to_string(test) + " for the test from " + std::to_string(rows) +
                              " filled rows, " + std::to_string(distinct) +
                              " of them distinct, and still train",
                          "Add rows, or take fewer for validation and test.");
    parts.train.insert(parts.train.end(), empty.begin(), empty.end());
    std::sort(parts.train.begin(), parts.train.end());
    return parts;
}

std::vector<std::vector<RowIndex>> find_duplicates(const Table& table, const ColumnRoles& roles,
                                                   const Control* control, const Progress& progress) {
    auto keys = row_keys(table, roles, control, progress);
    Groups groups = group(keys);
    take_empty(groups, keys);
    std::erase_if(groups, [](const auto& members) { return members.size() < 2; });
    return groups;
}

std::vector<Leak> find_leaks(const Table& train, const Table& test, const ColumnRoles& roles,
                             const Control* control, const Progress& progress) {
    std::map<TextKey, RowIndex> seen;
    auto train_keys = row_keys(train, roles, control, progress);
    for (std::size_t row = 0; row < train_keys.size(); ++row)
        seen.try_emplace(train_keys[row], static_cast<RowIndex>(row));
    auto test_keys = row_keys(test, roles, control, progress);
    std::vector<Leak> leaks;
    seen.erase(key_of({}));
    for (std::size_t row = 0; row < test_keys.size(); ++row)
        if (auto found = seen.find(test_keys[row]); found != seen.end())
            leaks.push_back({found->second, static_cast<RowIndex>(row)});
    return leaks;
}

}  // namespace qlora::data
