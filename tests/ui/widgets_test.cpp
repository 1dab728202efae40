#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTest>

#include "core/base/error.h"
#include "ui/theme/theme.h"
#include "ui/widgets/card.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/field_editor.h"
#include "ui/widgets/help_popover.h"
#include "ui/widgets/memory_bar.h"
#include "ui/widgets/number_box.h"
#include "ui/widgets/progress_strip.h"
#include "ui/widgets/segmented_control.h"
#include "ui/widgets/toast.h"

using namespace qlora;
using namespace qlora::ui;

class WidgetsTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() { theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light); }

    void every_field_of_a_recipe_has_an_editor_that_shows_its_default() {
        for (const auto& field : recipe::fields()) {
            FieldEditor editor(field);
            QCOMPARE(editor.value().dump(), field.default_value().dump());
            QVERIFY2(editor.valid(), field.key.c_str());
            QVERIFY2(!editor.input()->accessibleName().isEmpty(), field.key.c_str());
            QVERIFY2(!field.help.empty(), field.key.c_str());
        }
    }
    void a_number_is_taken_as_it_is_typed() {
        FieldEditor editor(*recipe::find_field("train.learning_rate"));
        QSignalSpy edited(&editor, &FieldEditor::edited);
        auto* line = editor.input()->findChild<QLineEdit*>();
        line->selectAll();
        QTest::keyClicks(line, "3.2e-4");
        QCOMPARE(editor.value().get<double>(), 3.2e-4);
        QVERIFY(editor.valid());
        QVERIFY(edited.count() > 0);
    }
    void a_wrong_number_is_marked_with_what_is_expected() {
        FieldEditor editor(*recipe::find_field("method.rank"));
        QSignalSpy edited(&editor, &FieldEditor::edited), validity(&editor, &FieldEditor::validity_changed);
        auto* line = editor.input()->findChild<QLineEdit*>();
        line->selectAll();
        QTest::keyClicks(line, "0");
        QVERIFY(!editor.valid());
        QCOMPARE(validity.count(), 1);
        QCOMPARE(edited.count(), 0);
        QCOMPARE(editor.value().dump(), Json(16).dump());  // the last valid value stays
        QVERIFY(editor.input()->accessibleDescription().contains("Expected"));
        line->selectAll();
        QTest::keyClicks(line, "x");
        QVERIFY(!editor.valid());
        line->selectAll();
        QTest::keyClicks(line, "8");
        QVERIFY(editor.valid());
        QCOMPARE(editor.value().dump(), Json(8).dump());
    }
    void a_value_set_from_outside_is_no_edit() {
        FieldEditor editor(*recipe::find_field("method.rank"));
        QSignalSpy edited(&editor, &FieldEditor::edited);
        editor.set_value(64);
        QCOMPARE(editor.value().dump(), Json(64).dump());
        QCOMPARE(edited.count(), 0);
    }
    void choices_booleans_and_lists_edit_too() {
        FieldEditor precision(*recipe::find_field("precision"));
        auto* combo = qobject_cast<QComboBox*>(precision.input());
        QVERIFY(combo);
        combo->setCurrentIndex(combo->findData("bf16"));
        emit combo->activated(combo->currentIndex());
        QCOMPARE(precision.value().dump(), Json("bf16").dump());
        FieldEditor packing(*recipe::find_field("data.packing"));
        qobject_cast<QCheckBox*>(packing.input())->click();
        QCOMPARE(packing.value().dump(), Json(true).dump());
        FieldEditor targets(*recipe::find_field("method.target_modules"));
        auto* line = qobject_cast<QLineEdit*>(targets.input());
        line->selectAll();
        QTest::keyClicks(line, "q_proj, v_proj");
        QCOMPARE(targets.value().dump(), Json::array({"q_proj", "v_proj"}).dump());
    }
    void f1_unfolds_what_a_field_does() {
        QWidget window;
        window.resize(600, 400);
        FieldEditor editor(*recipe::find_field("method.rank"), &window);
        window.show();
        editor.input()->setFocus();
        QTest::keyClick(editor.input()->findChild<QLineEdit*>(), Qt::Key_F1);
        QVERIFY(HelpPopover::of(&window)->isVisible());
        QCOMPARE(HelpPopover::of(&window)->anchor(), &editor);
        QTest::keyClick(editor.input()->findChild<QLineEdit*>(), Qt::Key_Escape);
        QVERIFY(!HelpPopover::of(&window)->isVisible());
    }
    void a_number_box_steps_in_the_fields_way() {
        NumberBox rate({1e-8, 1, false, {}});
        rate.set_value(2e-4);
        rate.stepBy(1);
        QCOMPARE(rate.value(), 5e-4);
        rate.stepBy(1);
        QVERIFY(std::abs(*rate.value() - 1e-3) < 1e-15);
        rate.stepBy(-3);
        QVERIFY(std::abs(*rate.value() - 1e-4) < 1e-15);
        NumberBox rank({1, 1024, true, {}});
        rank.set_value(16);
        rank.stepBy(1);
        QCOMPARE(rank.value(), 17.0);
        NumberBox block({32, 4096, true, {32, 64, 128}});
        block.set_value(64);
        block.stepBy(1);
        QCOMPARE(block.value(), 128.0);
        block.stepBy(1);
        QCOMPARE(block.value(), 128.0);
    }
    void names_with_markup_are_shown_as_they_are() {
        const QString name = "<b>%1</b> & <img src=x>";
        ElidedLabel label(name);
        label.resize(2000, 20);
        label.show();
        QCOMPARE(label.textFormat(), Qt::PlainText);
        QCOMPARE(label.text(), name);
        label.resize(40, 20);
        QVERIFY(!label.toolTip().contains("<b>"));
        QVERIFY(label.toolTip().contains("&lt;b&gt;"));
        ErrorPanel panel;
        panel.show_error(
            input_error("model.not_found", name.toStdString(), "no such <i>model</i>", "Choose another."));
        for (QLabel* part : panel.findChildren<QLabel*>())
            QVERIFY(part->textFormat() == Qt::PlainText || part->text().isEmpty());
        QVERIFY(panel.details().contains(name));
    }
    void an_errors_details_are_copied_whole() {
        ErrorPanel panel;
        panel.show_error(input_error("data.row", "support.jsonl, line 17", "expected an object, got an array",
                                     "Correct the line."));
        QVERIFY(!panel.isHidden());
        const QString details = panel.details();
        for (const char* part :
             {"support.jsonl, line 17", "expected an object", "Correct the line.", "data.row"})
            QVERIFY2(details.contains(part), part);
        panel.clear();
        QVERIFY(panel.isHidden());
    }
    void a_card_folds_and_says_so() {
        Card card("test", "Model", "model");
        QSignalSpy folded(&card, &Card::unfolded_changed);
        card.show();
        card.set_unfolded(false, false);
        QCOMPARE(folded.count(), 1);
        QVERIFY(card.sizeHint().height() < 60);
        card.set_unfolded(true);
        QTest::qWait(300);
        QVERIFY(card.unfolded());
    }
    void the_memory_bar_tells_its_figures_without_colour() {
        MemoryBar bar;
        MemoryBytes bytes;
        bytes[MemoryTag::weights] = 96'000'000;
        bar.set_memory(bytes, 1'000'000'000, 200'000'000);
        QVERIFY(bar.accessibleDescription().contains("weights: 96.0 MB"));
        QVERIFY(bar.accessibleDescription().contains("296 MB of 1.00 GB"));
        QVERIFY(bar.fits());
        bar.set_memory(bytes, 90'000'000);
        QVERIFY(!bar.fits());
    }
    void progress_waits_before_it_shows_and_cancels_once() {
        ProgressStrip strip;
        strip.resize(500, 40);
        strip.show();
        QSignalSpy cancelled(&strip, &ProgressStrip::cancelled);
        const int height = strip.sizeHint().height();
        strip.begin("Reading");
        QVERIFY(strip.findChild<QPushButton*>()->isHidden());
        QTest::qWait(400);
        QVERIFY(!strip.findChild<QPushButton*>()->isHidden());
        QCOMPARE(strip.sizeHint().height(), height);  // nothing jumps
        strip.findChild<QPushButton*>()->click();
        QCOMPARE(cancelled.count(), 1);
        strip.end();
        QVERIFY(strip.findChild<QPushButton*>()->isHidden());
    }
    void an_undo_settles_exactly_once() {
        QWidget host;
        host.resize(400, 300);
        host.show();
        Toast toast(&host);
        int undone = 0, settled = 0;
        toast.offer_undo(
            "Deleted", [&] { ++undone; }, [&] { ++settled; });
        toast.undo_button()->click();
        QCOMPARE(undone, 1);
        QCOMPARE(settled, 0);
        toast.offer_undo(
            "Deleted", [&] { ++undone; }, [&] { ++settled; });
        toast.say("Something else");
        QCOMPARE(settled, 1);
        QCOMPARE(undone, 1);
    }
    void segments_move_with_the_arrow_keys() {
        SegmentedControl control("Settings", {"Simple", "Advanced"});
        control.show();
        QSignalSpy changed(&control, &SegmentedControl::changed);
        QVERIFY(QTest::qWaitForWindowActive(&control));
        auto* first = control.findChildren<QAbstractButton*>().front();
        first->setFocus();
        QTest::keyClick(first, Qt::Key_Right);
        QCOMPARE(control.current(), 1);
        QCOMPARE(changed.count(), 1);
    }

  private:
    std::unique_ptr<theme::Theme> theme_;
};

QTEST_MAIN(WidgetsTest)
#include "widgets_test.moc"
