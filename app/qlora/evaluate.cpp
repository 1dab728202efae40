#include <set>

#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "app/qlora/live_line.h"
#include "app/qlora/options.h"
#include "app/qlora/run_name.h"
#include "core/base/home.h"
#include "core/evaluate/chat.h"

namespace qlora::cli {

namespace fs = std::filesystem;

namespace {

// A recipe and the adapter that belongs to it.
struct Subject {
    recipe::Recipe recipe;
    fs::path adapter;  // empty: none, the base model
};

Subject find_subject(const std::string& name) {
    std::error_code error;
    if (fs::is_regular_file(name, error)) {
        Subject subject{recipe::load(name), {}};
        fs::path own = fs::path(subject.recipe.output) / "adapter";
        if (!subject.recipe.output.empty() && fs::is_directory(own, error))
            subject.adapter = own;
        else
            subject.adapter = subject.recipe.method.adapter;
        return subject;
    }
    fs::path folder = run_folder(data_home(), name);
    Subject subject{recipe::load(folder / "recipe.json"), folder / "adapter"};
    if (!fs::is_directory(subject.adapter, error))
        throw input_error("run.adapter", folder.string(), "the run has no adapter yet",
                          "Let it finish, or stop it with saving.");
    return subject;
}

std::string class_table(const std::vector<evaluate::ClassFigures>& classes) {
    std::vector<std::vector<std::string>> rows{{"", "PRECISION", "RECALL", "F1", "ROWS", "PREDICTED"}};
    for (const evaluate::ClassFigures& one : classes)
        rows.push_back({one.name, fixed(one.precision, 4), fixed(one.recall, 4), fixed(one.f1, 4), count_text(one.rows),
                        count_text(one.predicted)});
    return table(rows);
}

std::string text(const evaluate::Report& report) {
    std::set<std::string> metrics;
    bool perplexity = false;
    for (const evaluate::Contender& contender : report.contenders) {
        for (const auto& [name, value] : contender.metrics) metrics.insert(name);
        perplexity = perplexity || contender.perplexity != 0;
    }
    std::vector<std::vector<std::string>> rows{{"", "LOSS"}};
    if (perplexity) rows[0].push_back("PERPLEXITY");
    for (const std::string& name : metrics) rows[0].push_back(name);
    rows[0].push_back("TOKENS");
    for (const evaluate::Contender& contender : report.contenders) {
        std::vector<std::string> row{contender.name, fixed(contender.loss, 4)};
        if (perplexity) row.push_back(fixed(contender.perplexity, 3));
        for (const std::string& name : metrics) {
            const auto value = contender.metrics.find(name);
            row.push_back(value == contender.metrics.end() ? "-" : fixed(value->second, 4));
        }
        row.push_back(count_text(contender.tokens));
        rows.push_back(row);
    }
    std::string out = count_text(report.rows) + " rows held out for " + report.split + "\n" + table(rows);
    for (const evaluate::Contender& contender : report.contenders) {
        if (contender.classification) out += "\n" + contender.name + "\n" + class_table(contender.classification->classes);
        if (contender.multi_label) out += "\n" + contender.name + "\n" + class_table(contender.multi_label->classes);
    }
    for (std::size_t i = 0; i < report.questions.size(); ++i) {
        out += "\n> " + report.questions[i] + "\n";
        if (i < report.expected.size()) out += "expected: " + report.expected[i] + "\n";
        for (const evaluate::Contender& contender : report.contenders)
            if (i < contender.answers.size()) out += contender.name + ": " + contender.answers[i] + "\n";
    }
    return out;
}

}  // namespace

Run define_evaluate(CLI::App& command) {
    struct Options {
        std::string subject;
        evaluate::ReportOptions report;
    };
    auto options = std::make_shared<Options>();
    command.add_option("RECIPE|RUN", options->subject, "A recipe's file, or a run's folder, number or name")
        ->required();
    command.add_option("--split", options->report.split, "Which rows: test or validation")
        ->check(CLI::IsMember({"test", "validation"}));
    command.add_option("--data", options->report.data, "Rows of another data set instead");
    command.add_flag("--baselines", options->report.baselines, "The base model beside the tuned one");
    command.add_option("--answers", options->report.answers, "Questions answered by each")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{10000}));
    command.add_option("--max-tokens", options->report.max_tokens, "The longest answer")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
    command.add_option("--max-rows", options->report.max_rows, "Rows measured; 0: all")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
    return [options](Context& context) {
        Subject subject = find_subject(options->subject);
        options->report.device = context.device;
        options->report.threads = context.threads;
        LiveLine live;
        const evaluate::Report report = evaluate::report(subject.recipe, subject.adapter, options->report,
                                                         context.control, live.progress());
        live.clear();
        if (report.split != options->report.split) context.output.note("There are no " + options->report.split + " rows; these figures are of the " + report.split + " rows.");
        context.output.answer(evaluate::to_json(report), text(report));
        return 0;
    };
}

}  // namespace qlora::cli
