#include "ui/theme/theme.h"

#include <QAbstractItemView>
#include <QApplication>
#include <QComboBox>
#include <QDirIterator>
#include <QPushButton>
#include <QTest>

#include "ui/theme/icons.h"

using namespace qlora;

class ThemeTest : public QObject {
    Q_OBJECT

  private slots:
    void text_stands_out_at_least_4_5_to_1() {
        for (const auto* tokens : {&theme::light(), &theme::dark()}) {
            for (const QColor& ground :
                 {tokens->window, tokens->card, tokens->hover(), tokens->tint(tokens->accent, 0.18)})
                for (const QColor& ink : {tokens->text, tokens->dim}) at_least(4.5, ink, ground);
            for (const QColor& ink : {tokens->accent, tokens->good, tokens->warning, tokens->bad})
                for (const QColor& ground : {tokens->window, tokens->card}) at_least(4.5, ink, ground);
            at_least(4.5, tokens->on_accent, tokens->accent);
        }
    }
    void data_and_edges_stand_out_at_least_3_to_1() {
        for (const auto* tokens : {&theme::light(), &theme::dark()}) {
            for (const QColor& color : tokens->tags) at_least(3, color, tokens->card);
            for (const QColor& color : tokens->further_runs) at_least(3, color, tokens->card);
            at_least(3, tokens->control_line(), tokens->card);
        }
    }
    void the_contrast_test_can_fail() {
        QVERIFY(theme::contrast(QColor(0xA0, 0xA0, 0xA0), Qt::white) < 3);
        QCOMPARE(theme::contrast(Qt::black, Qt::white), 21.0);
    }
    void every_tag_has_its_own_hatch() {
        std::vector<QImage> tiles;
        for (std::size_t i = 0; i < memory_tag_count; ++i) {
            auto grey = theme::light();
            grey.tags.fill(QColor(0x80, 0x80, 0x80));
            tiles.push_back(theme::tag_brush(static_cast<MemoryTag>(i), grey).textureImage());
            for (std::size_t k = 0; k < i; ++k)
                QVERIFY2(tiles[k] != tiles[i], "two tags look alike without colour");
        }
    }
    void no_name_is_left_in_the_style_sheet() {
        for (const auto* tokens : {&theme::light(), &theme::dark()})
            QVERIFY(!theme::style_sheet(*tokens).contains('@'));
    }
    void what_is_chosen_can_be_read_in_an_open_list() {
        for (const auto* tokens : {&theme::light(), &theme::dark()}) {
            QComboBox list;
            list.setStyleSheet(theme::style_sheet(*tokens));
            list.addItems({"LoRA", "Full fine-tuning"});
            list.show();
            list.showPopup();
            const QRect row = list.view()->visualRect(list.view()->currentIndex());
            const QImage image = list.view()->viewport()->grab(row).toImage();
            const QColor ground = image.pixelColor(image.rect().center());
            double contrast = 1;
            for (int y = 0; y < image.height(); ++y)
                for (int x = 0; x < image.width(); ++x)
                    contrast = std::max(contrast, theme::contrast(image.pixelColor(x, y), ground));
            QVERIFY2(contrast >= 4.5, qPrintable(QString("its text stands out %1 to 1").arg(contrast)));
            list.hidePopup();
        }
    }
    void switching_reaches_windows_that_are_open() {
        theme::Theme theme(*qApp, theme::Scheme::light);
        QPushButton button("Start");
        button.setProperty("look", "primary");
        button.show();
        const QImage before = button.grab().toImage();
        QVERIFY(!theme::current().dark);
        theme.set_scheme(theme::Scheme::dark);
        QVERIFY(theme::current().dark);
        QVERIFY(button.grab().toImage() != before);
        theme.set_scheme(theme::Scheme::light);
        QCOMPARE(button.grab().toImage(), before);
    }
    void every_icon_draws_in_the_colour_asked_for() {
        theme::Theme theme(*qApp, theme::Scheme::light);
        QDirIterator icons(":/icons", {"*.svg"});
        int count = 0;
        while (icons.hasNext()) {
            const QString name = QFileInfo(icons.next()).completeBaseName();
            if (name == "studio") continue;
            const QImage image = theme::icon_pixmap(name, Qt::red, 40, 1).toImage();
            int inked = 0;
            for (int y = 0; y < image.height(); ++y)
                for (int x = 0; x < image.width(); ++x)
                    if (qAlpha(image.pixel(x, y)) > 200) {
                        ++inked;
                        QVERIFY2(qRed(image.pixel(x, y)) > 200 && qBlue(image.pixel(x, y)) < 60,
                                 qPrintable(name));
                    }
            QVERIFY2(inked > 20, qPrintable(name));
            ++count;
        }
        QVERIFY(count > 30);
        QVERIFY(theme::icon_pixmap("no-such-icon", Qt::red, 20, 1).isNull());
    }
    void figures_share_one_width() {
        const QFontMetrics metrics(theme::figure_font());
        for (char digit = '0'; digit <= '9'; ++digit)
            QCOMPARE(metrics.horizontalAdvance(QLatin1Char(digit)), metrics.horizontalAdvance('0'));
    }
    void reduced_motion_stops_motion() {
        theme::Theme theme(*qApp);
        theme.set_reduced_motion(true);
        QCOMPARE(theme::motion_ms(), 0);
        theme.set_reduced_motion(false);
        QCOMPARE(theme::motion_ms(), 150);
    }

  private:
    static void at_least(double ratio, const QColor& ink, const QColor& ground) {
        const double got = theme::contrast(ink, ground);
        QVERIFY2(got >= ratio,
                 qPrintable(
                     QString("%1 on %2: %3, wanted %4").arg(ink.name(), ground.name()).arg(got).arg(ratio)));
    }
};

QTEST_MAIN(ThemeTest)
#include "theme_test.moc"
