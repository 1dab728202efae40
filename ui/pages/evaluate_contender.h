#pragma once
// A contender's figures on a card: the task's main one large, the others beside it.

#include <QFrame>
#include <vector>

#include "core/evaluate/chat.h"

class QHBoxLayout;
class QLabel;

namespace qlora::ui {

class ElidedLabel;

class ContenderCard : public QFrame {
    Q_OBJECT

  public:
    ContenderCard(const QString& name, const QString& help, QWidget* parent = nullptr);

    // Of the metrics `keys`, the main one first; without a contender they are not measured yet.
    void show_contender(const evaluate::Contender* contender, const std::vector<std::string>& keys, const QString& detail);
    // One figure of any kind instead.
    void show_figure(const QString& caption, const QString& value, const QString& detail, bool bad);

  private:
    struct Figure {
        QLabel *caption, *value;
    };
    void set_figures(const std::vector<std::string>& keys);

    QString name_;
    std::vector<std::string> keys_;
    std::vector<Figure> figures_;
    QLabel* title_;
    QHBoxLayout* row_;
    ElidedLabel* detail_;
};

}  // namespace qlora::ui
