#include "ui/format/format.h"

#include <QTest>
#include <cmath>

using namespace qlora;

class FormatTest : public QObject {
    Q_OBJECT

  private slots:
    void figures_have_three_significant_digits() {
        QCOMPARE(format::figure(2.3149), "2.31");
        QCOMPARE(format::figure(0.01234), "0.0123");
        QCOMPARE(format::figure(3.2e-4), "3.2e-4");
        QCOMPARE(format::figure(2e-4), "2e-4");
        QCOMPARE(format::figure(9.996), "10.0");
        QCOMPARE(format::figure(99.97), "100");
        QCOMPARE(format::figure(12400), "12,400");
        QCOMPARE(format::figure(-0.5), "-0.500");
        QCOMPARE(format::figure(0), "0");
    }
    void what_is_no_number_is_not_shown_as_zero() {
        QCOMPARE(format::figure(NAN), "–");
        QCOMPARE(format::figure(INFINITY), "–");
        QCOMPARE(format::bytes(-1), "–");
        QCOMPARE(format::duration(NAN), "–");
        QCOMPARE(format::rate(NAN), "–");
    }
    void bytes_go_in_powers_of_a_thousand() {
        QCOMPARE(format::bytes(0), "0 B");
        QCOMPARE(format::bytes(999), "999 B");
        QCOMPARE(format::bytes(1'430'000'000), "1.43 GB");
        QCOMPARE(format::bytes(41'000'000), "41.0 MB");
        QCOMPARE(format::bytes(999'600'000), "1.00 GB");
    }
    void durations_speak_as_people_do() {
        QCOMPARE(format::duration(0.42), "0.4 s");
        QCOMPARE(format::duration(45.2), "45 s");
        QCOMPARE(format::duration(130), "2 min 10 s");
        QCOMPARE(format::duration(3900), "1 h 05 min");
        QCOMPARE(format::duration(59.7), "1 min 00 s");
    }
    void counts_parameters_and_contexts_are_short() {
        QCOMPARE(format::count(1234567), "1,234,567");
        QCOMPARE(format::count(-1234), "-1,234");
        QCOMPARE(format::count(999), "999");
        QCOMPARE(format::parameters(134'515'008), "135M");
        QCOMPARE(format::parameters(1'240'000'000), "1.24B");
        QCOMPARE(format::tokens(8192), "8k");
        QCOMPARE(format::rate(77.2), "77.2 tok/s");
    }
    void a_comma_locale_changes_nothing() {
        QLocale::setDefault(QLocale(QLocale::German));
        QCOMPARE(format::figure(2.31), "2.31");
        QCOMPARE(format::bytes(1'430'000'000), "1.43 GB");
        QLocale::setDefault(QLocale::c());
    }
    void one_line_never_breaks() {
        QCOMPARE(format::one_line("a\n\nb\tc", 80), "a b c");
        QCOMPARE(format::one_line("abcdefgh", 5), "abcd…");
    }
};

QTEST_APPLESS_MAIN(FormatTest)
#include "format_test.moc"
