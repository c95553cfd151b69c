#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "base/file.h"
#include "base/syscalls.h"
#include "cgroups/hierarchy.h"
#include "runtime/launcher.h"

namespace hutch::runtime {

constexpr cgroups::Millis kLong{30'000};  // only a failing test ever waits this long

template <typename T>
T must(Result<T> result) {
    if (!result.ok()) throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

/// The boxes of these tests are made with nesting where the environment says HUTCH_TEST_NESTING: the same walls must
/// hold.
inline const Nesting g_nesting = getenv("HUTCH_TEST_NESTING") != nullptr ? Nesting::kAllowed : Nesting::kRefused;

/// What all boxes of a test program share: a mount namespace of its own, a directory, a parent group, the launcher.
class RuntimeHost : public ::testing::Environment {
  public:
    static RuntimeHost& get() {
        static auto* const host =
            dynamic_cast<RuntimeHost*>(::testing::AddGlobalTestEnvironment(new RuntimeHost));  // owned by gtest
        return *host;
    }
    void SetUp() override {
        if (geteuid() != 0) missing_ = "needs root";
        if (access("/bin/busybox", X_OK) != 0) missing_ = "needs /bin/busybox (package busybox-static)";
        if (!missing_.empty()) return;
        ASSERT_EQ(unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(sys_mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        groups_.emplace(must(cgroups::Hierarchy::open("hutch-test-rt")));
        ASSERT_TRUE(groups_->recover({}, kLong).ok()) << "what an earlier run that crashed has left";
        launcher_.emplace(must(Launcher::prepare()));
        char name[] = "/var/tmp/hutch-test-XXXXXX";
        path_ = mkdtemp(name);
        ASSERT_EQ(chmod(path_.c_str(), 0755), 0);
        must(copy("/bin/busybox", "busybox"));
        must(copy(HUTCH_TEST_PROBE, "probe"));
    }
    void TearDown() override {
        if (!groups_) return;
        EXPECT_TRUE(remove_tree_at(AT_FDCWD, path_).ok());
        EXPECT_TRUE(must(groups_->recover({}, kLong)).removed.empty()) << "a box left its group";
        EXPECT_TRUE(groups_->remove_parent().ok());
    }

    [[nodiscard]] const std::string& missing() const { return missing_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    cgroups::Hierarchy& groups() { return *groups_; }
    const Launcher& launcher() { return *launcher_; }

  private:
    // A copy of the file as it is now: a box may change the mode or the links of what it gets.
    Result<void> copy(const std::string& from, const std::string& name) const {
        const std::string content = TRY(read_file_at(AT_FDCWD, from, 64 << 20));
        const UniqueFd to = TRY(open_at(AT_FDCWD, path_ + "/" + name, O_WRONLY | O_CREAT | O_EXCL, 0755));
        return write_all(to.get(), content);
    }

    std::string missing_;
    std::string path_;
    std::optional<cgroups::Hierarchy> groups_;
    std::optional<Launcher> launcher_;
};

inline RuntimeHost& g_host = RuntimeHost::get();

/// A root tree of one box's own: /bin with busybox, /probe, and neither /proc nor /dev nor /tmp.
class Image {
  public:
    Image() {
        std::string name = g_host.path() + "/image-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("making an image");
        path_ = name;
        dir_ = must(open_at(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY));
        must(make_dirs_at(dir(), "bin"));
        add(linkat(AT_FDCWD, (g_host.path() + "/busybox").c_str(), dir(), "bin/busybox", 0));
        add(linkat(AT_FDCWD, (g_host.path() + "/probe").c_str(), dir(), "probe", 0));
        for (const char* applet : {"sh", "cat", "sleep", "kill", "true", "mkdir", "rmdir", "stat"}) {
            link_to("busybox", std::string("bin/") + applet);
        }
        add(fchmod(dir(), 0755));
    }
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    ~Image() { EXPECT_TRUE(remove_tree_at(AT_FDCWD, path_).ok()); }

    [[nodiscard]] int dir() const { return dir_.get(); }
    void link_to(const std::string& target, const std::string& name) const {
        add(symlinkat(target.c_str(), dir(), name.c_str()));
    }
    void put(const std::string& name, const std::string& content, mode_t mode = 0644) const {
        const UniqueFd file = must(open_at(dir(), name, O_WRONLY | O_CREAT | O_TRUNC, mode));
        must(write_all(file.get(), content));
        add(fchmod(file.get(), mode));
    }
    [[nodiscard]] std::string content(const std::string& name) const {
        return must(read_file_at(dir(), name, 64 << 20));
    }

  private:
    static void add(int result) {
        if (result != 0) throw std::runtime_error(errno_error("filling an image").message);
    }

    std::string path_;
    UniqueFd dir_;
};

}  // namespace hutch::runtime
