#pragma once

#include <poll.h>
#include <sys/wait.h>

#include <map>
#include <thread>
#include <vector>

#include "runtime/idmap.h"
#include "tests/kernel/runtime_host.h"

namespace hutch::runtime {

constexpr uid_t kBoxUser = 1000;

struct Command {
    std::vector<std::string> argv;
    uid_t uid = 0;
    std::string work_dir = "/";
    std::vector<std::string> env = {"PATH=/bin"};
    std::optional<RunSpec::Terminal> terminal = {};
    uint16_t defaults = 0;
    bool fall_back = false;
    bool kept = false;  ///< init is given the read end of the output too
};

struct Outcome {
    std::string out;              ///< stdout and stderr, or what the terminal said
    int status = -1;              ///< as wait(2) gives it
    std::optional<Reply> failed;  ///< when it was not started
};

/// A command under way. `in` is its stdin; both `in` and `out` are the master of its terminal if it has one.
struct Running {
    uint64_t id;
    cgroups::Leaf leaf;
    UniqueFd in, out;
    pid_t pid = 0;
    std::optional<Reply> failed;
};

/// A box made of real parts, without a daemon. The plan may be changed before start(); everything is gone at the end.
class Box {
  public:
    explicit Box(const Image& image)
        : id_("b" + std::to_string(++g_made)),
          base_(600'000'000 + g_made * kIdsPerBox),
          group_(must(g_host.groups().create(id_, {.memory_bytes = 4ULL << 30, .cpus = 2, .pids = 8192}, base_))),
          leaf_(must(group_.make_leaf("init", base_))),
          tasks_(must(group_.open_v1_tasks())),
          views_(must(group_.views())),
          userns_(must(make_user_namespace(base_, g_nesting))) {
        std::thread([this] {  // a thread's network namespace is its own
            unshare(CLONE_NEWNET);
            netns_ = must(open_at(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY));
            const UniqueFd context(sys_fsopen("sysfs", FSOPEN_CLOEXEC));
            sys_fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
            sysfs_ =
                UniqueFd(sys_fsmount(context.get(), FSMOUNT_CLOEXEC,
                                     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
        })
            .join();
        root_ = UniqueFd(sys_open_tree(image.dir(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
        mount_attr attributes{};
        attributes.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NODEV;
        attributes.userns_fd = static_cast<uint64_t>(userns_.get());
        if (sys_mount_setattr(root_.get(), "", AT_EMPTY_PATH, attributes) != 0) {
            throw std::runtime_error(errno_error("mapping the ids of the image").message);
        }
        for (const UniqueFd& file : tasks_) task_fds_.push_back(file.get());
        plan = SpawnPlan{.group = group_.fd(),
                         .leaf = leaf_.fd(),
                         .tasks = task_fds_,
                         .netns = netns_.get(),
                         .userns = userns_.get(),
                         .root = root_.get(),
                         .sysfs = sysfs_.get(),
                         .unified_view = views_.unified.get(),
                         .memory_view = views_.memory.get(),
                         .cpu_view = views_.cpu.get(),
                         .cpuset_view = views_.cpuset.get(),
                         .cpuacct_view = views_.cpuacct.get(),
                         .hostname = "hutch-test",
                         .address = "198.18.0.2",
                         .nameserver = "198.18.0.1",
                         .shm_bytes = 16 << 20,
                         .memory_bytes = 4ULL << 30,
                         .cpus = 2,
                         .pids = 8192,
                         .nesting = g_nesting};
    }
    Box(const Box&) = delete;
    Box& operator=(const Box&) = delete;
    ~Box() {
        end();
        EXPECT_TRUE(group_.wait_empty(kLong).ok());
        EXPECT_TRUE(group_.remove().ok());
    }

    Result<void> start() {
        spawned_ = TRY(g_host.launcher().spawn(plan));
        TRY(spawned_.link.name("hutch-test"));
        return spawned_.link.wait_ready(static_cast<int>(kLong.count()));
    }
    /// Kills init, and with it all that is in its pid namespace.
    void end() {
        if (!spawned_.pidfd) return;
        sys_pidfd_send_signal(spawned_.pidfd.get(), SIGKILL);
        reap(spawned_.pidfd.get());
        spawned_ = {};
    }

    [[nodiscard]] uid_t base() const { return base_; }
    [[nodiscard]] pid_t init() const { return spawned_.pid; }
    [[nodiscard]] int init_pidfd() const { return spawned_.pidfd.get(); }
    cgroups::Group& group() { return group_; }
    Link& link() { return spawned_.link; }

    Outcome run(const Command& command) {
        Running running = begin(command);
        return finish(running);
    }
    Running begin(const Command& command) {
        UniqueFd in[2];
        UniqueFd out[2];
        RunSpec spec = spec_of(command);
        Running running{spec.id, must(group_.make_leaf("r" + std::to_string(spec.id), base_)), {}, {}, 0, {}};
        spec.leaf = running.leaf.fd();
        if (!command.terminal) {
            for (UniqueFd* ends : {in, out}) {
                int pair[2];
                if (pipe2(pair, O_CLOEXEC) != 0) throw std::runtime_error("making a pipe");
                ends[0] = UniqueFd(pair[0]);
                ends[1] = UniqueFd(pair[1]);
            }
            spec.in = in[0].get();
            spec.out = spec.err = out[1].get();
            if (command.kept) spec.kept.push_back(out[0].get());
        }
        must(spawned_.link.send(spec));
        Message first = next();
        while (first.reply.run_id != spec.id) {
            note(first.reply);
            first = next();
        }
        running.pid = first.reply.pid;
        if (first.reply.type == MessageType::kFailed) running.failed = first.reply;
        if (command.terminal && first.fds[0]) running.in = must(duplicate(first.fds[0].get()));
        if (!command.terminal) running.in = std::move(in[1]);
        running.out = command.terminal ? std::move(first.fds[0]) : std::move(out[0]);
        return running;
    }
    Outcome finish(Running& running) {
        Outcome outcome{"", -1, running.failed};
        if (running.failed) return outcome;
        while (ended_.count(running.id) == 0) {
            pollfd events[] = {{spawned_.link.fd(), POLLIN, 0}, {running.out.get(), POLLIN, 0}};
            if (poll(events, 2, static_cast<int>(kLong.count())) <= 0) throw std::runtime_error("a command hangs");
            if (events[1].revents != 0 && !take(running.out, outcome.out)) running.out.reset();
            if (events[0].revents != 0) note(next().reply);
        }
        if (running.out) fcntl(running.out.get(), F_SETFL, O_NONBLOCK);
        while (running.out && take(running.out, outcome.out)) {
        }
        outcome.status = ended_.at(running.id);
        must(spawned_.link.forget(running.id));
        return outcome;
    }
    /// What a command of these words says, without the end of the last line.
    std::string say(std::vector<std::string> argv, uid_t uid = 0) {
        Outcome outcome = run({.argv = std::move(argv), .uid = uid});
        if (outcome.failed) return failure_of(*outcome.failed).message;
        if (outcome.out.ends_with('\n')) outcome.out.pop_back();
        return outcome.out;
    }
    /// The next message, whatever it is about.
    Message next() {
        for (;;) {
            std::optional<Message> message = must(spawned_.link.receive());
            if (message) return std::move(*message);
            pollfd event{spawned_.link.fd(), POLLIN, 0};
            if (poll(&event, 1, static_cast<int>(kLong.count())) <= 0) throw std::runtime_error("init says nothing");
        }
    }
    RunSpec spec_of(const Command& command) {
        RunSpec spec;
        spec.id = ++last_run_;
        spec.argv = command.argv;
        spec.env = command.env;
        spec.defaults = command.defaults;
        spec.work_dir = command.work_dir;
        spec.fall_back = command.fall_back;
        spec.uid = command.uid;
        spec.gid = command.uid;
        spec.terminal = command.terminal;
        return spec;
    }

    SpawnPlan plan;

  private:
    static inline uid_t g_made = 0;

    void note(const Reply& reply) {
        if (reply.type == MessageType::kExited) ended_[reply.run_id] = reply.code;
    }
    // False at the end of the stream, or when there is nothing now (EIO: a terminal without users).
    static bool take(const UniqueFd& from, std::string& into) {
        char buffer[4096];
        const ssize_t n = read(from.get(), buffer, sizeof(buffer));
        if (n > 0) into.append(buffer, static_cast<size_t>(n));
        return n > 0;
    }

    std::string id_;
    uid_t base_;
    cgroups::Group group_;
    cgroups::Leaf leaf_;
    std::vector<UniqueFd> tasks_;
    cgroups::Views views_;
    std::vector<int> task_fds_;
    UniqueFd userns_, netns_, sysfs_, root_;
    Spawned spawned_;
    uint64_t last_run_ = 0;
    std::map<uint64_t, int> ended_;
};

/// A test with one box ready to use.
class RuntimeTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!g_host.missing().empty()) GTEST_SKIP() << g_host.missing();
        image_.emplace();
        box_.emplace(*image_);
        const auto started = box_->start();
        ASSERT_TRUE(started.ok()) << started.error().message;
    }
    Box& box() { return *box_; }
    std::string probe(std::vector<std::string> attempt, uid_t uid = 0) {
        attempt.insert(attempt.begin(), "/probe");
        return box_->say(std::move(attempt), uid);
    }

    std::optional<Image> image_;  // outlives its box
    std::optional<Box> box_;
};

}  // namespace hutch::runtime
