#pragma once
// Plain text on one line (or a set number of them) that gives way to "…" where space is short, and shows itself whole
// in its tooltip.

#include <QLabel>

namespace qlora::ui {

class ElidedLabel : public QLabel {
    Q_OBJECT
  public:
    explicit ElidedLabel(const QString& text = {}, QWidget* parent = nullptr);

    void set_text(const QString& text);
    QString full_text() const { return full_; }
    void set_elide_mode(Qt::TextElideMode mode);
    void set_lines(int lines);  // takes the room of that many, however short the text

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

  protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;

  private:
    void elide();

    QString full_;
    Qt::TextElideMode mode_ = Qt::ElideRight;
    int lines_ = 1;
};

// A label that never reads markup: names from files are shown as they are. `look` is a look of the style sheet.
QLabel* plain_label(const QString& text, const char* look = nullptr, QWidget* parent = nullptr);
// The same, over several lines.
QLabel* wrapped_label(const QString& text, const char* look = nullptr, QWidget* parent = nullptr);
// Sets the style sheet's "look" and draws the widget again.
void set_look(QWidget* widget, const char* look);

}  // namespace qlora::ui
