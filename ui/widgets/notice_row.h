#pragma once
// One line worth knowing: an icon for its weight and plain text, wrapped.

#include <QWidget>

class QLabel;

namespace qlora::ui {

class NoticeRow : public QWidget {
    Q_OBJECT
  public:
    enum class Weight { info, good, warning, bad };
    NoticeRow(Weight weight, const QString& text, QWidget* parent = nullptr);
    void set(Weight weight, const QString& text);
    QString text() const;

  protected:
    void changeEvent(QEvent* event) override;

  private:
    void refresh();

    Weight weight_;
    QLabel *icon_, *text_;
};

}  // namespace qlora::ui
