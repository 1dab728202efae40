// Groups whose members are threads of this process: sums, what one tells all, stops, and members that go or never come.
#include "tests/torch_tests.h"

#include <mutex>
#include <thread>

#include "core/parallel/children.h"
#include "core/parallel/group.h"
#include "core/parallel/network.h"

using namespace qlora;
using parallel::Group;

namespace {

// Runs `member` as every rank of a group, each on a thread of its own; gives the codes of the errors that they ended with.
std::vector<std::string> run_group(int size, const std::function<void(Group&)>& member) {
    parallel::Listener listener;
    const auto port = listener.port();
    const auto environments = parallel::on_this_machine(size, listener.release(), port);
    std::vector<std::string> codes(static_cast<std::size_t>(size));
    std::vector<std::thread> threads;
    for (const auto& environment : environments)
        threads.emplace_back([&] {
            codes[static_cast<std::size_t>(environment.rank)] = code_of([&] {
                Group group(environment);
                member(group);
            });
        });
    for (auto& thread : threads) thread.join();
    return codes;
}

using Codes = std::vector<std::string>;

}  // namespace

class GroupTest : public QObject {
    Q_OBJECT

  private slots:
    void a_group_of_one_does_nothing() {
        Group group({});
        Control control;
        double sum = 3;
        int calls = 0;
        group.together(control, [&] { ++calls; }, std::span(&sum, 1));
        QCOMPARE(calls, 1);
        QCOMPARE(sum, 3.0);
        torch::Tensor tensor = torch::ones({4});
        group.sum(tensor);
        group.broadcast(tensor);
        QVERIFY(torch::equal(tensor, torch::ones({4})));
        QCOMPARE(group.broadcast("text"), "text");
        group.leave("no reason");
        control.stop();
        QCOMPARE(code_of([&] { group.together(control, [] { throw stopped(); }); }), stopped().code());
    }

    void sums_are_the_same_bits_everywhere() {
        constexpr int size = 3;
        std::vector<torch::Tensor> results(size), own(size);
        std::vector<double> losses(size);
        for (int rank = 0; rank < size; ++rank) own[static_cast<std::size_t>(rank)] = torch::rand({100003}, torch::kFloat32);
        const auto codes = run_group(size, [&](Group& group) {
            const auto rank = static_cast<std::size_t>(group.rank());
            results[rank] = own[rank].clone();
            group.sum(results[rank]);
            Control control;
            losses[rank] = 0.1 * (group.rank() + 1);
            group.together(control, [] {}, std::span(&losses[rank], 1));
        });
        QCOMPARE(codes, Codes(size));
        QVERIFY(torch::allclose(results[0], own[0] + own[1] + own[2]));
        for (std::size_t rank = 0; rank < size; ++rank) {
            QVERIFY(torch::equal(results[rank], results[0]));
            QCOMPARE(losses[rank], losses[0]);
        }
        QVERIFY(std::abs(losses[0] - 0.6) < 1e-12);
    }

    void rank_0_tells_all() {
        const auto codes = run_group(2, [&](Group& group) {
            torch::Tensor numbers = torch::full({5}, group.rank() + 1.0), bytes = torch::full({3}, group.rank() + 1, torch::kUInt8);
            group.broadcast(numbers);
            group.broadcast(bytes);
            if (!torch::equal(numbers, torch::ones({5})) || !torch::equal(bytes, torch::ones({3}, torch::kUInt8))) throw failure("numbers", "", "");
            if (group.broadcast(group.first() ? "what to do" : "nothing") != "what to do") throw failure("text", "", "");
            if (!group.broadcast(group.first() ? "" : "something").empty()) throw failure("empty", "", "");
        });
        QCOMPARE(codes, Codes(2));
    }

    void a_stop_reaches_all_data() {
        QTest::addColumn<int>("asked");
        QTest::addColumn<bool>("save");
        QTest::newRow("of rank 0, saving") << 0 << true;
        QTest::newRow("of rank 1, saving") << 1 << true;
        QTest::newRow("of rank 1, at once") << 1 << false;
    }
    void a_stop_reaches_all() {
        QFETCH(int, asked);
        QFETCH(bool, save);
        std::vector<Control::Request> requests(2);
        const auto codes = run_group(2, [&](Group& group) {
            Control control;
            const auto work = [&] {
                if (group.rank() == asked) {
                    save ? control.stop_and_save() : control.stop();
                    control.check();
                }
                for (;;) {  // the other one works on until it hears of it
                    group.poll();
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                }
            };
            try {
                group.together(control, work);
            } catch (const Error&) {
                requests[static_cast<std::size_t>(group.rank())] = control.request();
                throw;
            }
        });
        QCOMPARE(codes, Codes(2, stopped().code()));
        for (const auto request : requests) QCOMPARE(request, save ? Control::Request::stop_and_save : Control::Request::stop);
    }

    void a_member_that_fails_is_told_of_and_lost_to_the_others() {
        std::mutex mutex;
        std::string told;
        const auto codes = run_group(2, [&](Group& group) {
            Control control;
            group.together(control, [] {});
            if (group.rank() == 1) {
                group.leave("there is no data");
                throw failure("its.own", "", "");
            }
            try {
                torch::Tensor tensor = torch::ones({1000});
                group.sum(tensor);
            } catch (const Error& error) {
                std::lock_guard lock(mutex);
                told = error.message();
                throw;
            }
        });
        QCOMPARE(codes, (Codes{"parallel.lost", "its.own"}));
        QVERIFY2(told.find("process 1 of 2 ended: there is no data") != std::string::npos, told.c_str());
    }

    void who_never_comes_is_not_waited_for_for_ever() {
        parallel::Listener listener;
        const auto port = listener.port();
        auto environments = parallel::on_this_machine(3, listener.release(), port);
        for (auto& environment : environments) environment.patience = std::chrono::seconds(2);
        const auto join = [](const parallel::Environment& environment) { Group group(environment); };
        try {
            join(environments[0]);
            QFAIL("it did not wait");
        } catch (const Error& error) {
            QCOMPARE(error.code(), "parallel.join");
            QVERIFY2(error.message().find("expected 3 processes, got 1") != std::string::npos, error.what());
        }
        QCOMPARE(code_of([&] { join(environments[1]); }), "parallel.join");  // nobody listens any more
        parallel::Environment nowhere = environments[1];
        nowhere.address = "nowhere.invalid";
        QCOMPARE(code_of([&] { join(nowhere); }), "parallel.address");
        nowhere.rank = 0;
        QCOMPARE(code_of([&] { join(nowhere); }), "parallel.address");
    }

    // A pause may take any time: patience is for coming, not for work.
    void a_member_that_takes_its_time_is_waited_for() {
        parallel::Listener listener;
        const auto port = listener.port();
        auto environments = parallel::on_this_machine(2, listener.release(), port);
        for (auto& environment : environments) environment.patience = std::chrono::seconds(2);
        Codes codes(2);
        std::vector<std::thread> threads;
        for (const auto& environment : environments)
            threads.emplace_back([&] {
                codes[static_cast<std::size_t>(environment.rank)] = code_of([&] {
                    Group group(environment);
                    torch::Tensor tensor = torch::ones({10});
                    if (group.first()) std::this_thread::sleep_for(std::chrono::milliseconds(4500));
                    group.sum(tensor);
                    group.broadcast(tensor);
                    if (!torch::equal(tensor, 2 * torch::ones({10}))) throw failure("numbers", "", "");
                });
            });
        for (auto& thread : threads) thread.join();
        QCOMPARE(codes, Codes(2));
    }

    void waiting_can_be_given_up() {
        parallel::Listener listener;
        const auto port = listener.port();
        const auto environments = parallel::on_this_machine(2, listener.release(), port);
        Control control;
        control.stop();
        QCOMPARE(code_of([&] { Group group(environments[0], [&] { control.check(); }); }), stopped().code());
    }

    void a_port_that_is_taken_is_named() {
        parallel::Listener listener;  // holds it
        auto environment = parallel::on_this_machine(2, -1, listener.port()).front();
        QCOMPARE(code_of([&] { Group group(environment); }), "parallel.port");
    }

    void two_of_the_same_rank_are_refused() {
        parallel::Listener listener;
        const auto port = listener.port();
        auto environments = parallel::on_this_machine(3, listener.release(), port);
        environments[2].rank = 1;
        for (auto& environment : environments) environment.patience = std::chrono::seconds(2);
        Codes codes(3);
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < 3; ++i)
            threads.emplace_back([&, i] { codes[i] = code_of([&] { Group group(environments[i]); }); });
        for (auto& thread : threads) thread.join();
        QVERIFY(codes[1] == "parallel.environment" || codes[2] == "parallel.environment");
        QCOMPARE(codes[0], "parallel.join");
    }
};

QTEST_GUILESS_MAIN(GroupTest)
#include "group_test.moc"
