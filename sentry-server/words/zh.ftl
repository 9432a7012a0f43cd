# 页面的中文。每行一条消息；视图和模板引用它们的名字。

# 每个页面
skip = 跳到正文
log-in = 登录
log-out = 退出
read-only = 此会话只读
times-utc = 时间为 UTC
times-here = 时间为您所在的时区
live = 实时
not-connected = 未连接
language = 语言
all-watches = 所有监视
watches = 监视
agent-none = 这里还没有运行过代理
agent-works = 代理工作正常
agents-work = { $n } 个代理工作正常
agents-lack = { $n } 个监视没有代理在处理
continue = 继续访问 Sentry

# 时间和时长
now = 刚刚
ago = { $age }前
ahead = { $age }后
unit-ms = { $n } 毫秒
unit-s = { $n } 秒
unit-min = { $n } 分钟
unit-h = { $n } 小时
unit-days = { $n } 天
since = 自{ $at }

# 登录
token = 令牌
login-help = 只读令牌可以查看一切；触发令牌还可以启动交付。两者都在 sentry.yaml 的 server 下配置。
login-wrong = 这不是此 Sentry 的令牌。
login-too-many = 错误的令牌太多。有效的令牌始终会被接受。
closed-title = 此页面需要令牌
closed-why = Sentry 正在运行，但这里不显示任何内容：没有配置用于登录的令牌。
closed-remedy = 请在 sentry.yaml 中设置 server.trigger_token_file（或 trigger_token、read_token、read_token_file、tokens）并重启。`openssl rand -hex 32` 可以生成一个好的令牌。
closed-health = 健康检查和指标不需要令牌：/livez、/readyz、/metrics。

# 错误
error-forbidden = 不允许
error-not-found = 找不到
error-invalid = 请求无效
error-conflict = 目前无法进行
error-too-many = 请求太多
error-later = 目前不可用
asked-title = 已请求
asked-kept = 您对监视 { $watch } 的请求已保存并排队。
asked-soon = 交付开始后会显示在这里。
asked-refused = 无法交付
back-to-watch = 返回该监视

# 状态
state-succeeded = 成功
state-dry-run = 试运行
state-nothing-ran = 没有运行
state-runs-failed = 运行失败
state-not-followed = 运行未被跟踪
state-failed = 失败
state-parked = 搁置
state-cancelled = 已取消
state-superseded = 已被取代
state-retrying = 重试中
state-waiting = 等待中
state-waits-for-approval = 等待批准
state-running = 运行中
state-fetching = 获取中
state-checking = 检查中
state-applying = 应用中
state-delivered = 已交付
state-delivering = 交付中
state-baseline = 基线
state-gone = 已删除
state-unknown = 未知

# 起因
cause-change = 新提交
cause-manifests = 新清单
cause-manual = 人工请求
cause-webhook = webhook 请求
cause-rerun = 人工请求的重新运行
cause-unknown = 起因未知

# 为什么没有运行
nothing-no-run-matched = 没有匹配的运行
nothing-no-file = 没有文件
nothing-only-objects = 只有其他对象
nothing-runs-left-out = 运行被拒绝并已略去
nothing-skipped = 提交带有跳过标记

# 接下来
next-resumed = 监视恢复后开始
next-agent = 代理运行之前不会开始：`sentry watch`
next-turn = 等待轮到它
next-attempt = 下次尝试
next-approve = 有人批准这个来自 fork 的提交
next-rest = 其余的运行
next-start = 它的运行开始
next-again = 再次检查
next-parked = 分支、清单或配置变化时重试
next-baseline = 交付下一个提交
next-gone = 分支恢复之前什么也不做
next-finish = 它的运行结束
next-rerun = 下一个提交，或重新运行失败的部分
next-commit = 下一个提交

# 可以做什么
act-deliver = 立即交付
act-deliver-about = 监视 { $watch } 的分支 { $branch }
act-cancel = 取消
act-cancel-about = 取消此交付及其运行：不再启动任何内容
act-approve = 批准
act-approve-about = 批准拉取请求 { $name } 的提交 { $commit }，并启动为它准备的运行
strangers-title = 等待批准
strangers-help = 来自 fork 的提交：在它们与此监视的测试一起运行之前，请逐个查看。
stranger = { $text }，{ $by }，合并到 { $branch }
act-retry = 重试
act-retry-about = 重试此交付：已运行的不会再次运行
act-rerun-failed = 重新运行失败的
act-rerun-failed-about = 重新运行此交付中失败的部分
act-rerun-all = 全部重新运行
act-rerun-all-about = 重新运行此交付中的全部内容

# 一次交付
way-back = 当前位置
error = 错误
committed = 提交于
rerun-of = 重新运行 { $id }
asked-by = { $cause }（由 { $by }）
compare = 与上次交付的 { $commit } 比较
message-of = { $run } 的消息
runs = 运行
took-usual = { $took }，通常 { $usual }
usually = 通常 { $usual }
run-queued = 排队中
run-skipped = 已跳过
run-planned = 计划中
run-cancelled = 已取消
run-gone = 已删除
run-unfollowed = 未被跟踪
class-step = 一个步骤失败。
class-timeout = 超过了时间限制。
class-cancelled = 按请求停止。
class-not-started = 未能启动。
class-infrastructure = 被集群收回。
class-other = 其他原因。
count-good = { $n } 个成功
count-cancelled = { $n } 个已取消
count-tasks = { $n } 个任务
graph = { $n } 个任务，从左到右绘制
tasks-list = 列表
task-after = 在 { $tasks } 之后
task-finally = 最后总会运行
task-never = 从未开始
task-retries = 重试 { $n } 次
attempts = 对此提交的各次尝试
attempts-counted = 每个文档以最新的运行为准：{ $runs }
attempt-one = 尝试
attempt-this = （本次）
attempt-without = 不在其中
attempt = 第 { $n } 次尝试
facts = 详情
manifests = 清单
unknown-yet = 尚不清楚
started = 开始于
took = 用时
asked-for = 请求
asked-event = 事件 { $event }
asked-run = 运行 { $run }
replaced-by = 取代者
delivery-id = 交付
objects = 对象
object = 对象
object-kind = 类型
object-from = 来源
object-result = 结果
count-objects = { $n } 个对象
action-created = 已创建
action-configured = 已更改
action-unchanged = 无变化
action-exists = 已存在
notes = 备注
steps = Sentry 自己的步骤
count-steps = { $n } 个步骤
step-inspect = 读取提交
step-resolve = 找到清单的分支
step-fetch = 获取清单
step-compare = 比较变化
step-check = 检查每个文档
step-apply = 写入对象
step-runs = 运行进行中
step-runs-ended = 运行已结束
ended-by = 由 { $by }
sum-dry-run = 试运行：没有写入任何内容。用时 { $time }。
sum-delivered = { $n ->
    [0] 已交付，没有运行，用时 { $time }。
   *[other] 已交付，{ $n } 个运行，用时 { $time }。
  }
sum-nothing = 没有要启动的运行。
sum-nothing-why = 没有要启动的运行：{ $cause }。
sum-runs-failed = { $all } 个运行中有 { $n } 个失败，用时 { $time }。
sum-failed = 失败，用时 { $time }。
sum-parked = 已搁置，直到有变化或有人重试。
sum-parked-until = 暂时搁置：{ $at }或有变化时再次检查。
sum-superseded = 被更新的提交取代；没有运行任何内容。
sum-superseded-runs = 被更新的提交取代；之前 { $all } 个运行中有 { $n } 个已结束。
sum-cancelled = 已取消；没有运行任何内容。
sum-cancelled-runs = { $time }后取消；之前 { $all } 个运行中有 { $n } 个已结束。
sum-running = { $all } 个运行中有 { $n } 个仍在运行，已 { $time }。
sum-retrying = 一次尝试失败；将会重试。
sum-queued = 排队中。
sum-open = 进行中，已 { $time }。

# 一个监视
route-from = 来自
route-on = 目标
branches = 分支
pace-title = 最近 30 天
pace = { $n } 次交付中有 { $failed } 次失败
pace-day = { $day }：{ $n } 次交付，{ $failed } 次失败；一半不超过 { $time }
pace-help = 上方是每天一半交付不超过的用时，最多 { $time }；下方是交付次数。叉号标出有失败的日子。日期为 UTC。
slow-run = 最慢的运行
slow-usual = 通常
slow-longest = 最长
slow-number = 运行次数
deliveries = 交付
history-search = 搜索分支、标题、作者或提交
history-none = 没有匹配的交付。
history-pages = 分页
history-newest = 最新
history-older = 更早
history-empty = 还没有交付过任何内容。被监视分支的下一个提交会被交付。
acts = 操作
deliver-title = 交付一个提交
deliver-head = 默认为分支的最新提交
deliver = 交付
resume = 恢复
resume-help = 该监视不会启动任何新内容。恢复后，它会交付期间推送到每个分支的最新提交。
suspend = 暂停
suspend-help = 恢复之前不会启动任何新内容。已经开始的会继续。
suspend-reason = 原因
suspend-shown = 所有人可见

# 首页
needs-you = { $n } 个分支需要处理
under-way = { $n } 个分支正在进行
all-delivered = 全部已交付
no-watch = 没有配置监视
first-poll = 等待第一次轮询
forge-silent = 有代码平台没有响应
sums = 监视：{ $watches } · 分支：{ $branches } · 进行中：{ $open }
queue = { $n } 个运行在等待 { $namespace } 的空位
no-namespace = 未知的命名空间
section-bad = 需要处理
section-open = 进行中
section-found = 找到 { $n } 个分支
found-none = 没有匹配的分支。提交按其 id 的前几位查找，其他内容按任意部分查找。
more = 显示其余（{ $n }）
empty-title = 配置中没有监视。
empty-help = 监视规定了关注哪个仓库的哪些分支，以及为它们运行什么：`sentry init` 会写出第一个 sentry.yaml。
branch-none = 还没有发现分支
branch-none-of = 还没有发现分支；正在查找 { $text }。
branch-none-help = `sentry watch` 启动后几秒内会完成第一次轮询。如果什么都没有出现，`sentry validate --online` 会说明分支是否存在、令牌是否可以读取它。
count-bad = { $n } 个失败
count-open = { $n } 个进行中
count-branches = { $n } 个分支
strip = 最近 { $n } 次交付，{ $failed } 次失败
trouble-silent = 代码平台没有响应
trouble-suspended = 已暂停
trouble-idle = 没有匹配的分支
trouble-reports = 结果未显示在提交上
trouble-ends = { $at }结束
trouble-next = { $at }再试
requests = { $n } 个请求尚未处理

# 搜索
search = 搜索
search-about = 搜索监视、分支、作者、标题或提交
search-key = 按 / 搜索
filter-more = 更多筛选
filter-state = 状态
filter-watch = 监视
filter-branch = 分支
filter-author = 作者
filter-commit = 提交
filter-any = 任何状态
filter-open = 进行中
filter-apply = 显示
filter-clear = 清除
tone-bad = 失败
tone-busy = 进行
tone-wait = 等待
tone-good = 正常
tone-quiet = 安静

# 有事发生时由屏幕阅读器读出
told-started = { $watch } 的 { $branch }：交付开始
told-retrying = { $watch } 的 { $branch }：一次尝试失败
told-settled = { $watch } 的 { $branch }：{ $text }
