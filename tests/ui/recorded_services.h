#pragma once
// Data, runs and chat that answer nothing, and dialogs with settable answers.

#include "ui/dialogs/dialogs.h"
#include "ui/engine/chat_service.h"
#include "ui/engine/dataset_service.h"
#include "ui/engine/runs_service.h"
#include "ui/engine/search_service.h"

namespace qlora::ui {

class QuietDatasets : public DatasetService {
  public:
    void list() override {}
    void open(const recipe::Recipe&) override {}
    void cancel() override {}
    void read_rows(int, int) override {}
    void describe(int) override {}
    void vary(const recipe::Recipe&, int, bool) override {}
    void cancel_varying() override {}
};

class QuietRuns : public RunsService {
  public:
    void refresh() override { emit listed(entries); }
    void rename(qint64, const QString&) override {}
    void remove(qint64) override {}
    std::vector<RunEntry> entries;
};

class QuietChat : public ChatService {
  public:
    void choose(const std::filesystem::path& folder) override { chosen = folder; }
    void release() override {}
    void measure(const evaluate::ReportOptions&) override {}
    void cancel_measuring() override {}
    void ask(const std::vector<evaluate::Message>&, const std::vector<evaluate::Message>&,
             const evaluate::GenerateOptions&) override {}
    void stop_chat() override {}
    std::filesystem::path chosen;
};

class QuietSearches : public SearchService {
  public:
    void refresh() override { emit listed(searches); }
    void begin(const search::Search& search) override {
        begun.push_back(search);
        set_searching(true);
    }
    void go_on(const QString& folder) override {
        gone_on << folder;
        set_searching(true);
    }
    void stop() override { set_searching(false); }
    void test_rates(const recipe::Recipe& recipe, const search::RateTest&) override {
        tested.push_back(recipe);
        is_testing = true;
        emit busy_changed();
    }
    void stop_test() override { is_testing = false; }
    bool searching() const override { return is_searching; }
    bool testing() const override { return is_testing; }
    void set_searching(bool now) {
        is_searching = now;
        emit busy_changed();
    }
    std::vector<search::Standing> searches;
    std::vector<search::Search> begun;
    std::vector<recipe::Recipe> tested;
    QStringList gone_on;
    bool is_searching = false, is_testing = false;
};

class AnsweredDialogs : public Dialogs {
  public:
    QString open_file(QWidget*, const QString&, const QString&, const QString&) override { return file; }
    QString open_folder(QWidget*, const QString&, const QString&) override { return folder; }
    QString save_file(QWidget*, const QString&, const QString&, const QString&) override { return saved; }
    int ask(QWidget*, const Question& question) override {
        asked.push_back(question);
        return answer;
    }
    QString file, folder, saved;
    int answer = 0;
    std::vector<Question> asked;
};

}  // namespace qlora::ui
