#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "core/data/roles.h"

namespace qlora::data {

using Layout = ColumnRoles::Layout;

namespace {

constexpr std::size_t sampled_rows = 20;

std::string in_quotes(const std::string& text) {
    return "\"" + text + "\"";
}

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

class Guess {
  public:
    Guess(const Table& table, const ColumnRoles& chosen) : table_(table), roles_(chosen) {}

    RoleGuess make() {
        if (!roles_.messages.empty())
            take(Layout::messages, "the conversations are in " + in_quotes(roles_.messages));
        else if (!roles_.prompt.empty() || !roles_.completion.empty())
            complete_pair();
        else if (!roles_.text.empty())
            take(Layout::text, "the texts are in " + in_quotes(roles_.text));
        else if (!(by_messages() || by_pair_names() || by_text_name()))
            by_content();
        if (roles_.layout != Layout::text && roles_.system.empty())
            roles_.system = named({"system", "system_prompt"}, ColumnKind::string);
        return {roles_, reason_};
    }

    // Texts and what they are.
    RoleGuess make_labelled() {
        const bool text_chosen = !roles_.text.empty(), label_chosen = !roles_.label.empty();
        if (!text_chosen) {
            roles_.text = named({"text", "sentence", "review", "content", "comment", "tweet", "message", "document", "body",
                                 "description", "utterance", "question", "query", "title", "prompt", "input"},
                                ColumnKind::string);
            if (roles_.text == roles_.label) roles_.text.clear();
        }
        if (!label_chosen)
            for (const char* name : {"label", "labels", "sentiment", "class", "category", "target", "intent", "topic", "emotion", "stars",
                                     "rating", "score", "tag", "tags", "output", "completion", "answer"})
                for (auto kind : {ColumnKind::string, ColumnKind::number, ColumnKind::boolean, ColumnKind::list})
                    if (roles_.label.empty()) roles_.label = named({name}, kind);
        if (roles_.label == roles_.text) roles_.label.clear();
        const bool by_name = !roles_.text.empty() && !roles_.label.empty();
        if (roles_.text.empty()) roles_.text = longest_text();
        if (roles_.label.empty()) roles_.label = fewest_values();
        std::string why = text_chosen && label_chosen ? "" : by_name ? ", by their names" : ", by their contents; please check";
        if (roles_.text.empty() || roles_.label.empty()) take(Layout::labelled, "no column holds texts with a label beside them");
        else take(Layout::labelled, "tells " + in_quotes(roles_.label) + " from " + in_quotes(roles_.text) + why);
        return {roles_, reason_};
    }

    // What to read and what to give for it; conversations will do.
    RoleGuess make_pair() {
        if (roles_.prompt.empty() && roles_.completion.empty() && roles_.messages.empty()) {
            for (const auto& [from, to] : {std::pair{"source", "target"}, {"document", "summary"}, {"article", "highlights"},
                                           {"text", "summary"}, {"dialogue", "summary"}, {"input", "target"}, {"text", "target"}}) {
                roles_.prompt = named({from}, ColumnKind::string);
                roles_.completion = named({to}, ColumnKind::string);
                if (!roles_.prompt.empty() && !roles_.completion.empty()) {
                    explain_pair(", by their names");
                    return {roles_, reason_};
                }
                roles_.prompt.clear();
                roles_.completion.clear();
            }
        }
        roles_.text.clear();
        return make();
    }

  private:
    std::string longest_text() const {
        std::string longest;
        double most = 0;
        for (const Column& column : table_.columns())
            if (column.kind == ColumnKind::string && column.name != roles_.label && mean_length(column.name) > most) {
                most = mean_length(column.name);
                longest = column.name;
            }
        return longest;
    }

    // The column beside the text in which the sampled rows say the same most often.
    std::string fewest_values() const {
        std::string fewest;
        std::size_t least = std::min(table_.rows(), sampled_rows);  // all different: no label
        for (std::size_t index = 0; index < table_.columns().size(); ++index) {
            const Column& column = table_.columns()[index];
            const bool unfit = column.kind == ColumnKind::empty || column.kind == ColumnKind::object || column.kind == ColumnKind::unsupported;
            if (unfit || column.name == roles_.text) continue;
            std::vector<Json> seen;
            for (std::size_t row = 0; row < std::min(table_.rows(), sampled_rows); ++row)
                if (Json value = table_.cell(row, index); std::find(seen.begin(), seen.end(), value) == seen.end()) seen.push_back(value);
            if (seen.size() > 1 && seen.size() < least) {
                least = seen.size();
                fewest = column.name;
            }
        }
        return fewest;
    }

    void take(Layout layout, std::string reason) {
        roles_.layout = layout;
        reason_ = std::move(reason);
    }

    bool used(const std::string& column) const {
        return column == roles_.prompt || column == roles_.completion || column == roles_.system ||
               column == roles_.input;
    }

    // The column of the first of these names that there is, in any case of letters.
    std::string named(std::initializer_list<const char*> names, ColumnKind kind) const {
        for (const char* name : names)
            for (const Column& column : table_.columns())
                if (column.kind == kind && lower(column.name) == name && !used(column.name))
                    return column.name;
        return {};
    }

    std::string prompt_by_name() const {
        return named({"prompt", "instruction", "question", "query", "user", "input", "problem", "request"},
                     ColumnKind::string);
    }
    std::string completion_by_name() const {
        return named(
            {"completion", "response", "output", "answer", "target", "reply", "assistant", "solution"},
            ColumnKind::string);
    }

    void add_input() {
        if (!roles_.input.empty() || lower(roles_.prompt) == "input") return;
        if (std::string context = lower(roles_.prompt) == "instruction"
                                      ? named({"input", "context"}, ColumnKind::string)
                                      : named({"context"}, ColumnKind::string);
            !context.empty())
            roles_.input = context;
    }

    void explain_pair(const std::string& why) {
        add_input();
        std::string from =
            in_quotes(roles_.prompt) + (roles_.input.empty() ? "" : " with " + in_quotes(roles_.input));
        take(Layout::prompt_completion,
             "asks from " + from + ", answers from " + in_quotes(roles_.completion) + why);
    }

    // One of the two is chosen: the other by its name, or as the only text column left.
    void complete_pair() {
        std::string& open = roles_.prompt.empty() ? roles_.prompt : roles_.completion;
        if (open.empty()) open = &open == &roles_.prompt ? prompt_by_name() : completion_by_name();
        if (open.empty()) {
            std::vector<std::string> left;
            for (const Column& column : table_.columns())
                if (column.kind == ColumnKind::string && !used(column.name)) left.push_back(column.name);
            if (left.size() == 1) open = left[0];
        }
        explain_pair("");
    }

    bool by_messages() {
        const auto names = {"messages", "conversations", "conversation", "dialog", "dialogue", "chat"};
        std::string found = named(names, ColumnKind::list);
        if (!found.empty() && !holds_objects(found)) found.clear();
        if (found.empty()) {
            found = named(names, ColumnKind::string);  // JSON in a cell of text
            if (!found.empty() && !table_.text(0, *table_.column(found)).value_or("").starts_with("[{"))
                found.clear();
        }
        if (found.empty())
            for (const Column& column : table_.columns())
                if (column.kind == ColumnKind::list && holds_messages(column.name)) found = column.name;
        if (found.empty()) return false;
        roles_.messages = found;
        take(Layout::messages, "the conversations are in " + in_quotes(found));
        return true;
    }

    // The first element of the first filled list of the sampled rows; null where there is none.
    Json first_element(const std::string& column) const {
        std::size_t index = *table_.column(column);
        for (std::size_t row = 0; row < std::min(table_.rows(), sampled_rows); ++row)
            if (Json list = table_.cell(row, index); list.is_array() && !list.empty()) return list[0];
        return nullptr;
    }

    bool holds_objects(const std::string& column) const { return first_element(column).is_object(); }

    bool holds_messages(const std::string& column) const {
        Json first = first_element(column);
        return first.is_object() && ((first.contains("role") && first.contains("content")) ||
                                     (first.contains("from") && first.contains("value")));
    }

    bool by_pair_names() {
        std::string completion = completion_by_name();
        if (completion.empty()) return false;
        roles_.completion = completion;
        roles_.prompt = prompt_by_name();
        if (roles_.prompt.empty()) {
            roles_.completion.clear();
            return false;
        }
        explain_pair(", by their names");
        return true;
    }

    bool by_text_name() {
        std::string found = named({"text", "content", "document", "body"}, ColumnKind::string);
        if (found.empty()) return false;
        roles_.text = found;
        take(Layout::text, "the texts are in " + in_quotes(found) + ", by its name");
        return true;
    }

    double mean_length(const std::string& column) const {
        std::size_t index = *table_.column(column), rows = std::min(table_.rows(), sampled_rows);
        double sum = 0;
        for (std::size_t row = 0; row < rows; ++row)
            sum += static_cast<double>(table_.text(row, index).value_or("").size());
        return rows == 0 ? 0 : sum / static_cast<double>(rows);
    }

    // One text column is the text; of two, the first asks; of more, the two with the most in them.
    void by_content() {
        std::vector<std::string> texts;
        for (const Column& column : table_.columns())
            if (column.kind == ColumnKind::string) texts.push_back(column.name);
        if (texts.size() == 1) {
            roles_.text = texts[0];
            take(Layout::text, "the texts are in " + in_quotes(texts[0]) + ", the only column of text");
        } else if (texts.size() >= 2) {
            auto longest = texts;
            std::stable_sort(longest.begin(), longest.end(),
                             [&](const auto& a, const auto& b) { return mean_length(a) > mean_length(b); });
            longest.resize(2);
            std::erase_if(texts, [&](const auto& name) {
                return std::find(longest.begin(), longest.end(), name) == longest.end();
            });
            roles_.prompt = texts[0];
            roles_.completion = texts[1];
            explain_pair(table_.columns().size() == 2 ? ", the two columns there are"
                                                      : ", the columns with the most text; please check");
        } else {
            reason_ = "no column holds text or messages";
        }
    }

    const Table& table_;
    ColumnRoles roles_;
    std::string reason_;
};

}  // namespace

RoleGuess guess_roles(const Table& table, const ColumnRoles& chosen, recipe::Task task) {
    if (table.rows() == 0) return {chosen, "there are no rows"};
    // A chosen name that is not there is for check_roles to report.
    Guess guess(table, chosen);
    if (task == recipe::Task::classification) return guess.make_labelled();
    return task == recipe::Task::seq2seq ? guess.make_pair() : guess.make();
}

}  // namespace qlora::data
