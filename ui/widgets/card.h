#pragma once
// A titled surface: icon, title, one summary line, an action at the right, and a body that folds away.

#include <QFrame>

class QBoxLayout;
class QHBoxLayout;
class QLabel;
class QPropertyAnimation;
class QToolButton;

namespace qlora::ui {

class Card : public QFrame {
    Q_OBJECT
    Q_PROPERTY(int body_height READ body_height WRITE set_body_height)

  public:
    enum class Folding { fixed, foldable };

    // `name` is stable: the key under which the shell keeps whether the card is unfolded.
    Card(const QString& name, const QString& title, const QString& icon, Folding folding = Folding::foldable,
         QWidget* parent = nullptr);

    void set_title(const QString& title);
    void set_summary(const QString& summary);  // plain text, elided at the end, whole in the tooltip
    void add_action(QWidget* action);          // at the right of the heading
    // Where the card's content goes. The card owns what is added.
    QBoxLayout* body() const { return body_layout_; }

    bool unfolded() const { return unfolded_; }
    void set_unfolded(bool unfolded, bool animate = true);

  signals:
    void unfolded_changed(bool unfolded);

  protected:
    void changeEvent(QEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    int body_height() const;
    void set_body_height(int height);
    void refresh_icon();

    QString icon_;
    QLabel* icon_label_;
    QLabel* title_;
    class ElidedLabel* summary_;
    QHBoxLayout* actions_;
    QToolButton* fold_button_ = nullptr;
    QWidget* heading_;
    QWidget* body_;
    QBoxLayout* body_layout_;
    QPropertyAnimation* animation_;
    bool unfolded_ = true;
};

}  // namespace qlora::ui
