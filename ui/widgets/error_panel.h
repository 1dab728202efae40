#pragma once
// An error on the page where it arose: what, where, what to do, "Copy details", and closing it.

#include <QFrame>

#include "core/base/error.h"

class QLabel;
class QPushButton;

namespace qlora::ui {

class ErrorPanel : public QFrame {
    Q_OBJECT
  public:
    explicit ErrorPanel(QWidget* parent = nullptr);  // hidden until show_error()

    void show_error(const Error& error);
    void show_error(const QString& what, const QString& where, const QString& hint, const QString& code = {});
    void clear();
    // An extra button ("Try again"); emits retry().
    void set_retry(const QString& label);
    QString details() const;  // what "Copy details" puts on the clipboard

  signals:
    void retry();

  protected:
    void changeEvent(QEvent* event) override;

  private:
    void refresh_icon();

    QString code_, where_text_;
    QLabel *icon_, *what_, *where_, *hint_;
    QPushButton* retry_;
};

}  // namespace qlora::ui
