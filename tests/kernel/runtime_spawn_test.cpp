// Starting a box's init: what is reported when a step fails, and that nothing stays behind.

#include <dirent.h>
#include <sys/resource.h>

#include <fstream>

#include "base/undo.h"
#include "tests/kernel/runtime_box.h"
#include "tests/kernel/user_namespace.h"

namespace hutch::runtime {
namespace {

size_t entries(const std::string& path) {
    size_t count = 0;
    DIR* listing = opendir(path.c_str());
    while (listing != nullptr && readdir(listing) != nullptr) ++count;
    closedir(listing);
    return count;
}
size_t open_descriptors() {
    return entries("/proc/self/fd");
}
bool has_children() {
    siginfo_t info{};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}
std::string mounts() {
    return must(read_file_at(AT_FDCWD, "/proc/self/mountinfo"));
}

/// A test that makes its boxes itself.
class RuntimeSpawnTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!g_host.missing().empty()) GTEST_SKIP() << g_host.missing();
        image_.emplace();
    }
    /// Starts a box from the image and says what went wrong.
    std::string failure() {
        Box box(*image_);
        return failure_of_start(box);
    }
    static std::string failure_of_start(Box& box) {
        const auto started = box.start();
        return started.ok() ? "started" : started.error().message;
    }

    std::optional<Image> image_;
};

TEST_F(RuntimeSpawnTest, AnImageWithoutMountPointsIsEnough) {
    EXPECT_EQ(failure(), "started");
}

// Stages of init. The links lead to directories that are there, so following them would succeed.
class HostileImageTest : public RuntimeSpawnTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(HostileImageTest, AMountPointThatIsALinkIsNotFollowed) {
    must(make_dirs_at(image_->dir(), "elsewhere"));
    image_->put("elsewhere/canary", "alive");
    image_->link_to("elsewhere", GetParam());
    const std::string before = mounts();
    EXPECT_EQ(failure(), std::string("mounting /") + GetParam() + ": Too many levels of symbolic links");
    EXPECT_EQ(image_->content("elsewhere/canary"), "alive");
    EXPECT_EQ(mounts(), before);
}

TEST_P(HostileImageTest, AMountPointThatLeavesTheImageIsNotFollowed) {
    const std::string outside = g_host.path() + "/outside";
    must(make_dirs_at(AT_FDCWD, outside));
    const Undo remove([&] { EXPECT_TRUE(remove_tree_at(AT_FDCWD, outside).ok()); });
    image_->link_to("../outside", GetParam());
    EXPECT_EQ(failure(), std::string("mounting /") + GetParam() + ": Too many levels of symbolic links");
    EXPECT_EQ(entries(outside), 2U);
}

TEST_P(HostileImageTest, AMountPointThatIsAFileIsRefused) {
    image_->put(GetParam(), "a file");
    EXPECT_EQ(failure(), std::string("mounting /") + GetParam() + ": Not a directory");
    EXPECT_EQ(image_->content(GetParam()), "a file");
}

INSTANTIATE_TEST_SUITE_P(Of, HostileImageTest, ::testing::Values("proc", "dev", "sys"),
                         [](const auto& name) { return std::string(name.param); });

TEST_F(RuntimeSpawnTest, NamesAreWrittenBesideAHostileLinkNotThroughIt) {
    must(make_dirs_at(image_->dir(), "etc"));
    image_->put("victim", "untouched");
    for (const char* name : {"etc/hosts", "etc/hostname", "etc/resolv.conf"}) image_->link_to("../victim", name);
    EXPECT_EQ(failure(), "started");
    EXPECT_EQ(image_->content("victim"), "untouched");
    EXPECT_EQ(image_->content("etc/hosts"),
              "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
              "198.18.0.2 hutch-test # this box: hutch keeps this line\n");
    EXPECT_EQ(image_->content("etc/resolv.conf"),
              "# The host's answers; what is changed here stays.\nnameserver 198.18.0.1\n");
}

// Stages before init. Every wrong descriptor is a real one of another kind.
TEST_F(RuntimeSpawnTest, AWrongDescriptorIsReportedWithItsStageAndLeavesNoProcess) {
    const UniqueFd null = must(open_at(AT_FDCWD, "/dev/null", O_RDONLY));
    const std::vector<int> tasks = {null.get()};
    struct Case {
        void (*spoil)(SpawnPlan& plan, const std::vector<int>& wrong);
        const char* message;
    };
    const Case cases[] = {
        {[](SpawnPlan& plan, const auto& wrong) { plan.group = wrong[0]; },
         "cloning into the box's control group: Bad file descriptor"},
        {[](SpawnPlan& plan, const auto& wrong) { plan.tasks = wrong; },
         "joining a v1 control group: Bad file descriptor"},
        {[](SpawnPlan& plan, const auto& wrong) { plan.netns = wrong[0]; },
         "joining the network namespace: Invalid argument"},
        {[](SpawnPlan& plan, const auto& wrong) { plan.userns = wrong[0]; },
         "joining the user namespace: Invalid argument"},
        {[](SpawnPlan& plan, const auto& wrong) { plan.leaf = wrong[0]; },
         "cloning into new namespaces: Bad file descriptor"},
        {[](SpawnPlan& plan, const auto&) { plan.root = -1; }, "sending the set-up to init: Bad file descriptor"},
        {[](SpawnPlan& plan, const auto& wrong) { plan.root = wrong[0]; },
         "placing the root file system /box: Invalid argument"},
    };
    for (const Case& wrong : cases) {
        Box box(*image_);
        const size_t before = open_descriptors();
        wrong.spoil(box.plan, tasks);
        EXPECT_EQ(failure_of_start(box), wrong.message);
        box.end();
        EXPECT_FALSE(has_children()) << wrong.message;
        EXPECT_EQ(open_descriptors(), before) << wrong.message;
    }
}

TEST_F(RuntimeSpawnTest, WithoutDescriptorsLeftNothingStaysBehind) {
    Box box(*image_);
    const size_t before = open_descriptors();
    rlimit whole{};
    getrlimit(RLIMIT_NOFILE, &whole);
    // From too few for the first socket up to enough for all.
    const auto lowest = static_cast<rlim_t>(must(duplicate(0)).get());
    for (rlim_t room = 0; room < 12; ++room) {
        const rlimit tight{lowest + room, whole.rlim_max};
        setrlimit(RLIMIT_NOFILE, &tight);
        const bool spawned = box.start().ok();
        setrlimit(RLIMIT_NOFILE, &whole);
        box.end();
        EXPECT_FALSE(has_children()) << room << " more descriptors";
        EXPECT_EQ(open_descriptors(), before) << room << " more descriptors";
        if (spawned) return;
    }
    FAIL() << "12 more descriptors were not enough";
}

TEST_F(RuntimeSpawnTest, HundredsOfBoxesLeaveNoDescriptorAndNoChild) {
    (void)failure();  // whatever is opened once
    const size_t before = open_descriptors();
    const std::string mounts_before = mounts();
    for (int i = 0; i < 200; ++i) ASSERT_EQ(failure(), "started") << i;
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_FALSE(has_children());
    EXPECT_EQ(mounts(), mounts_before);
}

TEST_F(RuntimeSpawnTest, ThreadsMayStartBoxesAtTheSameTime) {
    constexpr size_t kThreads = 4;
    constexpr size_t kEach = 5;
    std::vector<Image> images(kThreads * kEach);
    std::vector<std::unique_ptr<Box>> boxes;
    for (const Image& image : images) boxes.push_back(std::make_unique<Box>(image));
    std::vector<std::string> said(boxes.size());
    std::vector<std::thread> threads;
    for (size_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            for (size_t i = thread; i < boxes.size(); i += kThreads) {
                const auto started = boxes[i]->start();
                said[i] = started.ok() ? boxes[i]->say({"/probe", "ids"}) : started.error().message;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& ids : said) EXPECT_EQ(ids, "uid 0 0 0 gid 0 0 0 groups 0");
}

class RuntimeInitTest : public RuntimeTest {
  protected:
    /// Sum of the Private_* lines of init's memory, in kB.
    static size_t private_kb(pid_t pid) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
        size_t sum = 0;
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with("Private_")) sum += std::stoul(line.substr(line.find(':') + 1));
        }
        return sum;
    }
    std::string status_line(const std::string& key) {
        std::ifstream file("/proc/" + std::to_string(box().init()) + "/status");
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with(key + ":")) return line;
        }
        return "";
    }
};

TEST_F(RuntimeInitTest, HoldsLittleMemoryOfItsOwn) {
    const Image image;
    Box second(image);
    ASSERT_TRUE(second.start().ok());
    ASSERT_EQ(box().say({"true"}), "");
    EXPECT_GT(private_kb(box().init()), 0U);
    EXPECT_LT(private_kb(box().init()), 1024U);
}

TEST_F(RuntimeInitTest, HoldsItsControlSocketAndNoOtherDescriptorOfTheDaemon) {
    const std::string fds = "/proc/" + std::to_string(box().init()) + "/fd";
    std::map<int, std::string> open;
    DIR* listing = opendir(fds.c_str());
    while (const dirent* entry = readdir(listing)) {
        if (entry->d_name[0] == '.') continue;
        char target[64] = {};
        ASSERT_GT(readlinkat(dirfd(listing), entry->d_name, target, sizeof(target) - 1), 0);
        const std::string kind(target);
        open[std::stoi(entry->d_name)] = kind.substr(0, kind.find(":["));
    }
    closedir(listing);
    const std::map<int, std::string> expected = {{0, "/dev/null"}, {1, "/dev/null"}, {2, "/dev/null"},
                                                 {3, "socket"},    {4, "socket"},    {5, "anon_inode:[signalfd]"}};
    open[5] = open[5].starts_with("anon_inode") ? "anon_inode:[signalfd]" : open[5];
    EXPECT_EQ(open, expected);
}

TEST_F(RuntimeInitTest, RunsFromASealedImageThatIsNoFileOfTheHost) {
    const std::string exe = "/proc/" + std::to_string(box().init()) + "/exe";
    const UniqueFd image = must(open_at(AT_FDCWD, exe, O_RDONLY));
    constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    EXPECT_EQ(fcntl(image.get(), F_GET_SEALS) & kSeals, kSeals);
    const auto writable = open_at(AT_FDCWD, exe, O_WRONLY);
    EXPECT_TRUE(!writable.ok() || write(writable.value().get(), "x", 1) < 0);
}

TEST_F(RuntimeInitTest, IsNotReachedByWhoHasAllCapabilitiesInItsUserNamespace) {
    // Its equal in user and permitted capabilities might trace it were it dumpable, and one with an *effective*
    // CAP_SYS_PTRACE were its image one that the box may read.
    const UniqueFd userns = must(open_at(AT_FDCWD, "/proc/" + std::to_string(box().init()) + "/ns/user", O_RDONLY));
    const auto take = [&](uint32_t without) {
        return test::run_in_user_namespace(userns.get(), 0, [&] {
            __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
            __user_cap_data_struct sets[2];
            if (sys_capget(&header, sets) != 0) return -1;
            sets[0].effective &= ~without;
            if (sys_capset(&header, sets) != 0) return -1;
            return sys_pidfd_getfd(box().init_pidfd(), 0) < 0 ? errno : 0;
        });
    };
    EXPECT_EQ(take(0), EPERM);
    EXPECT_EQ(take(1U << CAP_SYS_PTRACE), EPERM);
}

TEST_F(RuntimeInitTest, IsTheBoxesRootOutside) {
    const std::string base = std::to_string(box().base());
    EXPECT_EQ(status_line("Uid"), "Uid:\t" + base + "\t" + base + "\t" + base + "\t" + base);
}

TEST_F(RuntimeInitTest, SurvivesWhoStartedItAndServesTheNext) {
    Running running = box().begin({.argv = {"/probe", "wait"}});
    box().link() = Link();  // the daemon is gone
    UniqueFd taken(sys_pidfd_getfd(box().init_pidfd(), kPeerFd));
    ASSERT_TRUE(taken) << "the next daemon takes its end back";
    running.in.reset();
    box().link() = Link(std::move(taken));
    const Outcome outcome = box().finish(running);
    EXPECT_EQ(outcome.status, 0) << "the end of a command that ran meanwhile is told";
    EXPECT_EQ(outcome.out, "ready\n");
    EXPECT_EQ(box().say({"/probe", "ids"}), "uid 0 0 0 gid 0 0 0 groups 0");
}

TEST_F(RuntimeInitTest, ItsEndIsTheEndOfTheLink) {
    sys_pidfd_send_signal(box().init_pidfd(), SIGKILL);
    const auto received = [this] {
        pollfd event{box().link().fd(), POLLIN, 0};
        poll(&event, 1, static_cast<int>(kLong.count()));
        return box().link().receive();
    }();
    ASSERT_FALSE(received.ok());
    EXPECT_EQ(received.error().code, ECONNRESET);
}

}  // namespace
}  // namespace hutch::runtime
