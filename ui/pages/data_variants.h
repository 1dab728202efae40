#pragma once
// What a run would learn from beside a row: its variants with the words that changed in bold, and the paraphrases that were
// refused, each with the reason.

#include <QWidget>

#include "ui/engine/dataset_service.h"

class QLabel;
class QPushButton;
class QScrollArea;
class QVBoxLayout;

namespace qlora::ui {

class ProgressStrip;

class VariantList : public QWidget {
    Q_OBJECT

  public:
    explicit VariantList(QWidget* parent = nullptr);

    // `active`: the recipe's augmentation does something.
    void show_variants(const evaluate::RowVariants& variants, bool active);
    void show_message(const QString& message);  // in place of variants
    void set_writing(bool writing);             // paraphrases are being written
    void set_busy(const QString& why_not);      // why none can be written now, as something else computes; empty: they can
    void set_progress(const QString& what, double done, double total);

    // `after` as rich text, the words that `before` has not in bold.
    static QString marked(const std::string& before, const std::string& after);

  signals:
    void write_wanted();  // of the row's paraphrases
    void write_cancelled();

  private:
    void add(const QString& caption, const QString& text, bool dim = false);
    void clear();

    QScrollArea* scroll_;
    QVBoxLayout* list_;
    QLabel* hint_;
    QPushButton* write_;
    ProgressStrip* progress_;
    bool can_write_ = false;
};

}  // namespace qlora::ui
