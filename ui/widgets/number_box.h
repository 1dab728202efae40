#pragma once
// A box for a number of a recipe: accepts what is typed as it is (3.2e-4, 16), steps in the field's natural way
// (integers by one, powers of two with Ctrl; reals by 1-2-5), and says whether the text is a valid value.

#include <QAbstractSpinBox>
#include <optional>
#include <vector>

namespace qlora::ui {

class NumberBox : public QAbstractSpinBox {
    Q_OBJECT
  public:
    struct Range {
        double low = 0, high = 0;
        bool integer = false;
        std::vector<double> allowed;  // not empty: the only values
    };
    explicit NumberBox(Range range, QWidget* parent = nullptr);

    void set_value(double value);
    std::optional<double> value() const;  // empty while the text is no valid value
    static QString text_of(double value, bool integer);

    void stepBy(int steps) override;

  signals:
    void text_edited();

  protected:
    StepEnabled stepEnabled() const override;
    QValidator::State validate(QString& text, int& position) const override;
    void wheelEvent(QWheelEvent* event) override;

  private:
    Range range_;
};

}  // namespace qlora::ui
