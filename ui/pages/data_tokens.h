#pragma once
// A row as the model sees it: its tokens as chips in reading order. Chips that are trained on have a filled ground and
// a solid foot, context a dotted foot, tokens beyond the limit a hatch and struck text. Hover or the arrow keys tell
// a token's text and id.

#include <QAbstractScrollArea>
#include <QString>
#include <vector>

#include "core/data/renderer.h"

namespace qlora::ui {

class TokenStrip : public QAbstractScrollArea {
    Q_OBJECT

  public:
    enum class Part { trained, context, cut };

    explicit TokenStrip(QWidget* parent = nullptr);

    void set_tokens(std::vector<data::TokenView> tokens);  // scrolls to the top; no token is current
    int count() const { return int(chips_.size()); }
    int current() const { return current_; }  // -1: none
    void set_current(int token);              // makes it visible
    QString description(int token) const;     // "Token 12 of 84 · id 339 · “ the” · trained on"
    QRect chip_rect(int token) const;         // in the viewport
    int token_at(const QPoint& position) const;

    // A token's text for people: blanks, line breaks and parts of characters made visible.
    static QString visible_text(const std::string& bytes);
    static void draw_chip(QPainter& painter, const QRect& rect, Part part, const QString& text);

  signals:
    void current_changed(int token);

  protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    bool viewportEvent(QEvent* event) override;

  private:
    struct Chip {
        data::TokenView token;
        QString text;
        QRect rect;  // in the content
        Part part() const { return token.cut ? Part::cut : token.trained ? Part::trained : Part::context; }
    };
    void arrange();
    int near_line(int token, int direction) const;

    std::vector<Chip> chips_;
    int current_ = -1, hovered_ = -1;
};

// What the three kinds of chips mean.
class TokenLegend : public QWidget {
    Q_OBJECT

  public:
    explicit TokenLegend(QWidget* parent = nullptr);
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return sizeHint(); }

  protected:
    void paintEvent(QPaintEvent* event) override;
};

}  // namespace qlora::ui
