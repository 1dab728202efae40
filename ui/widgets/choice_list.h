#pragma once
// A short list to pick one of, each with a name and one line about it: the ready models, the ready data sets.

#include <QWidget>
#include <vector>

class QVBoxLayout;

namespace qlora::ui {

class ChoiceList : public QWidget {
    Q_OBJECT

  public:
    struct Choice {
        QString id, name, detail;
        bool enabled = true;
        bool operator==(const Choice&) const = default;
    };
    explicit ChoiceList(const QString& accessible_name, QWidget* parent = nullptr);
    void set_choices(const std::vector<Choice>& choices);  // the same ones again change nothing, the focus neither
    void set_current(const QString& id);  // none of them: nothing is marked

  signals:
    void chosen(const QString& id);

  private:
    QVBoxLayout* column_;
    std::vector<Choice> choices_;
};

// A row of small rounded labels, facts in a few letters each.
class ChipRow : public QWidget {
    Q_OBJECT

  public:
    explicit ChipRow(QWidget* parent = nullptr);
    void set_chips(const QStringList& chips);

  private:
    QStringList chips_;
};

}  // namespace qlora::ui
