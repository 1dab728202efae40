#pragma once
// A data set as requests and queued signals: opening, roles, rows, a row's tokens, and the report, all in the background.

#include <QObject>
#include <QString>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/data/report.h"
#include "core/evaluate/row_variants.h"
#include "core/hub/catalogue.h"
#include "core/recipe/recipe.h"
#include "ui/models/dataset_model.h"

namespace qlora::ui {

// What is known as soon as the file has been read once.
struct DatasetOpened {
    QString source;  // as asked for
    QString name;    // for people
    QString path;    // the file
    std::size_t rows = 0;
    std::vector<data::Column> columns;
    std::vector<std::string> notices;
};

// The roles in force: guessed where the recipe leaves them open.
struct DatasetRoles {
    data::ColumnRoles roles;
    QString reason;                          // how they were guessed
    std::vector<data::RoleProblem> problems; // then nothing can be rendered
};

// UI thread only. A new request takes the place of one of its kind that still runs. Where no model is chosen, rows are
// shown but tokens and report are not.
class DatasetService : public QObject {
    Q_OBJECT

  public:
    using QObject::QObject;

    // The ready data sets: listed() follows.
    virtual void list() = 0;
    // Opens what `recipe` trains on (a path or a catalogue id) if it is not open, then guesses roles, loads the model's
    // tokenizer if it is another one, and makes the report: opened(), resolved(), tokens_ready(), reported(), each at
    // most once, then finished() or failed().
    virtual void open(const recipe::Recipe& recipe) = 0;
    virtual void cancel() = 0;
    virtual void read_rows(int first, int count) = 0;  // rows_read() follows
    // The variants of a row under the recipe's augmentation: varied() or vary_failed() follows, the newest request wins. `write`:
    // paraphrases that are not written yet are, by the model, with progress; else they are left out.
    virtual void vary(const recipe::Recipe& recipe, int row, bool write) = 0;
    virtual void cancel_varying() = 0;
    virtual void describe(int row) = 0;  // after tokens_ready(): described() follows, the newest request wins

  signals:
    void listed(const std::vector<qlora::hub::CatalogueData>& datasets);
    void opened(const qlora::ui::DatasetOpened& dataset);
    void resolved(const qlora::ui::DatasetRoles& roles);
    void tokens_ready();  // describe() works from now on
    void reported(const qlora::data::DatasetReport& report);
    void rows_read(const qlora::ui::DatasetBlock& block);
    void described(int row, const std::vector<qlora::data::TokenView>& tokens);
    void describe_failed(int row, const qlora::Error& error);
    void varied(const qlora::evaluate::RowVariants& variants);
    void vary_progressed(const QString& what, double done, double total);
    void vary_failed(int row, const qlora::Error& error);
    void progressed(const QString& what, double done, double total);
    void finished();   // open() is through
    void cancelled();
    void failed(const qlora::Error& error);
};

}  // namespace qlora::ui
