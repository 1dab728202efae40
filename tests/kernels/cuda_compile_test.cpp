// All CUDA sources through NVRTC for every architecture that is promised, and the cache of what comes out. No GPU is
// needed.
#include <QProcessEnvironment>
#include <QtTest>
#include <fstream>

#include "kernels/cuda/nvrtc.h"
#include "nvrtc_wheel.h"

using namespace qlora::kernels::cuda;

class CudaCompileTest : public QObject {
    Q_OBJECT

    std::unique_ptr<Nvrtc> nvrtc_;

  private slots:
    void initTestCase() {
        const auto library = nvrtc_wheel();
        if (library.empty())
            QSKIP("NVIDIA's run-time compiler is not here: ./dev test fetches it, or QLORA_NVRTC names its library");
        nvrtc_ = std::make_unique<Nvrtc>(library);
        qInfo("NVRTC %s", nvrtc_->version().c_str());
    }

    void sources_are_those_of_the_files() {
        QVERIFY(sources().size() >= 10);
        for (const Source& source : sources()) {
            QFile file(QString(QLORA_SOURCE_DIR "/kernels/cuda/sources/%1.cu").arg(source.name));
            QVERIFY2(file.open(QIODevice::ReadOnly), source.name);
            QCOMPARE(QByteArray(source.text), file.readAll());
        }
    }

    void every_source_compiles_data() {
        QTest::addColumn<QString>("architecture");
        for (const char* name : {"sm_80", "sm_86", "sm_89", "sm_90", "sm_120", "compute_80"})
            QTest::newRow(name) << name;
    }
    void every_source_compiles() {
        QFETCH(QString, architecture);
        for (const Source& source : sources()) {
            const std::string program = nvrtc_->compile(source, architecture.toStdString());
            if (architecture.startsWith("sm_"))
                QVERIFY2(program.starts_with("\x7F"
                                             "ELF"),
                         source.name);
            else
                QVERIFY2(program.find(".target sm_80") != std::string::npos, source.name);
        }
    }

    void a_mistake_is_told_with_its_line() {
        const Source wrong{"wrong", "extern \"C\" __global__ void wrong(float* x) { x[0] = missing; }"};
        try {
            nvrtc_->compile(wrong, "sm_80");
            QFAIL("it compiles");
        } catch (const std::runtime_error& error) {
            QVERIFY2(std::string(error.what()).find("wrong.cu(1)") != std::string::npos, error.what());
            QVERIFY2(std::string(error.what()).find("missing") != std::string::npos, error.what());
        }
    }

    void devices_get_their_own_architecture_or_the_newest_before_it() {
        QCOMPARE(nvrtc_->architecture(8, 9), std::string("sm_89"));
        QVERIFY(nvrtc_->architecture(99, 0).starts_with("compute_"));
        QVERIFY_THROWS_EXCEPTION(std::runtime_error, nvrtc_->architecture(3, 5));
    }

    void the_cache_keeps_whole_programs_alone() {
        QTemporaryDir folder;
        const ProgramCache cache(folder.path().toStdString() + "/new/folder");
        const Source& source = sources().front();
        const auto path = cache.path_of(*nvrtc_, source, "sm_80");
        const std::string first = cache.compiled(*nvrtc_, source, "sm_80");
        QVERIFY(std::filesystem::exists(path));
        QVERIFY(path != cache.path_of(*nvrtc_, source, "sm_86"));
        const auto count = [&] { return std::distance(std::filesystem::directory_iterator(path.parent_path()), {}); };
        QCOMPARE(count(), 1);  // nothing is left beside it
        // What lies there is taken: an entry with another content and its right hash would be, so one without is not.
        const auto size = std::filesystem::file_size(path);
        for (const auto& damage : std::vector<std::function<void()>>{
                 [&] { std::filesystem::resize_file(path, size - 1); }, [&] { std::filesystem::resize_file(path, 0); },
                 [&] {
                     std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
                     file.seekp(static_cast<std::streamoff>(size / 2));
                     file.put('!').put('?');
                 }}) {
            damage();
            QCOMPARE(cache.compiled(*nvrtc_, source, "sm_80"), first);
            QCOMPARE(std::filesystem::file_size(path), size);
        }
        const auto written = std::filesystem::last_write_time(path);
        QCOMPARE(cache.compiled(*nvrtc_, source, "sm_80"), first);
        QCOMPARE(std::filesystem::last_write_time(path), written);
    }

    void a_cache_without_a_place_compiles() {
        QVERIFY(!ProgramCache("/proc/nowhere").compiled(*nvrtc_, sources().front(), "sm_80").empty());
    }

    void a_library_that_is_not_there_is_explained() {
        QVERIFY_THROWS_EXCEPTION(std::runtime_error, Nvrtc("/nowhere/libnvrtc.so"));
    }
};

QTEST_GUILESS_MAIN(CudaCompileTest)
#include "cuda_compile_test.moc"
