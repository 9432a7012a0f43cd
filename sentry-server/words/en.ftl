# What the page says in English. One message a line; views and templates name them.

# Around every page
skip = Skip to content
log-in = Log in
log-out = Log out
read-only = this session is read-only
times-utc = times in UTC
times-here = times in your time zone
live = live
not-connected = not connected
language = Language
all-watches = All watches
watches = Watches
agent-none = no agent has run here yet
agent-works = agent works
agents-work = { $n ->
    [one] 1 agent works
   *[other] { $n } agents work
  }
agents-lack = { $n ->
    [one] no agent works for 1 watch
   *[other] no agent works for { $n } watches
  }
continue = Continue to Sentry

# Times and spans
now = just now
ago = { $age } ago
ahead = in { $age }
unit-ms = { $n } ms
unit-s = { $n } s
unit-min = { $n } min
unit-h = { $n } h
unit-days = { $n } days
since = since { $at }

# Login
token = Token
login-help = The read token shows everything. The trigger token may also start deliveries. Both are configured under server in sentry.yaml.
login-wrong = This is not a token of this Sentry.
login-too-many = Too many wrong tokens. A valid one is always accepted.
closed-title = This page needs a token
closed-why = Sentry is running, but shows nothing here: no token to log in with is configured.
closed-remedy = Set server.trigger_token_file (or trigger_token, read_token, read_token_file, tokens) in sentry.yaml and restart it. `openssl rand -hex 32` makes a good token.
closed-health = Health and metrics need no token: /livez, /readyz, /metrics.

# Errors
error-forbidden = Not allowed
error-not-found = Not found
error-invalid = Invalid request
error-conflict = Not possible right now
error-too-many = Too many requests
error-later = Not available right now
asked-title = Requested
asked-kept = Your request for watch { $watch } is saved and queued.
asked-soon = The delivery is shown here once it starts.
asked-refused = Can't deliver it
back-to-watch = Back to the watch

# States
state-succeeded = succeeded
state-dry-run = dry run
state-nothing-ran = nothing ran
state-runs-failed = runs failed
state-not-followed = runs not followed
state-failed = failed
state-parked = parked
state-cancelled = cancelled
state-superseded = superseded
state-retrying = retrying
state-waiting = waiting
state-waits-for-approval = waits for approval
state-running = running
state-fetching = fetching
state-checking = checking
state-applying = applying
state-delivered = delivered
state-delivering = delivering
state-baseline = baseline
state-gone = gone
state-unknown = unknown

# Causes
cause-change = a new commit
cause-manifests = new manifests
cause-manual = requested by hand
cause-webhook = requested by a webhook
cause-rerun = new runs, requested by hand
cause-unknown = an unknown cause

# Why nothing ran
nothing-no-run-matched = no run matched
nothing-no-file = there is no file
nothing-only-objects = there are only other objects
nothing-runs-left-out = its runs were refused and left out
nothing-skipped = the commit has a skip marker

# What comes next
next-resumed = starts when the watch is resumed
next-agent = nothing starts until an agent runs: `sentry watch`
next-turn = waits for its turn
next-attempt = next attempt
next-approve = somebody approves the head, which is a fork's
next-rest = the rest of its runs
next-start = its runs start
next-again = checked again
next-parked = retried when the branch, the manifests or the configuration change
next-baseline = the next commit is delivered
next-gone = nothing, until the branch is back
next-finish = its runs finish
next-rerun = the next commit, or a rerun of what failed
next-commit = the next commit

# What can be done
act-deliver = Deliver now
act-deliver-about = { $branch } of watch { $watch }
act-cancel = Cancel
act-cancel-about = Cancel this delivery and its runs: nothing more is started
act-approve = Approve
act-approve-about = Approve commit { $commit } of pull request { $name } and run what is for it
strangers-title = Wait for approval
strangers-help = Heads of forks: look at each before it runs with this watch's tests.
stranger = { $text } by { $by }, into { $branch }
act-retry = Retry
act-retry-about = Retry this delivery: nothing that ran runs twice
act-rerun-failed = Rerun what failed
act-rerun-failed-about = New runs of what failed in this delivery
act-rerun-all = Rerun all
act-rerun-all-about = New runs of everything in this delivery

# A delivery
way-back = Breadcrumb
error = Error
committed = committed
rerun-of = rerun of { $id }
asked-by = { $cause }: { $by }
compare = compare with { $commit }, delivered before
message-of = Message of { $run }
runs = Runs
took-usual = { $took }, usually { $usual }
usually = usually { $usual }
run-queued = queued
run-skipped = skipped
run-planned = planned
run-cancelled = cancelled
run-gone = deleted
run-unfollowed = not followed
class-step = A step failed.
class-timeout = A time limit passed.
class-cancelled = Stopped on request.
class-not-started = It could not start.
class-infrastructure = The cluster took it away.
class-other = Another cause.
count-good = { $n } succeeded
count-cancelled = { $n } cancelled
count-tasks = { $n ->
    [one] 1 task
   *[other] { $n } tasks
  }
graph = { $n ->
    [one] 1 task, drawn from left to right
   *[other] { $n } tasks, drawn from left to right
  }
tasks-list = As a list
task-after = after { $tasks }
task-finally = at the end, in any case
task-never = never began
task-retries = { $n ->
    [one] 1 retry
   *[other] { $n } retries
  }
attempts = Attempts at this commit
attempts-counted = of each document the newest run counts: { $runs }
attempt-one = Attempt
attempt-this = (this one)
attempt-without = not part of it
attempt = attempt { $n }
facts = Facts
manifests = Manifests
unknown-yet = not known yet
started = Started
took = Took
asked-for = Requested
asked-event = event { $event }
asked-run = run { $run }
replaced-by = Replaced by
delivery-id = Delivery
objects = Objects
object = Object
object-kind = Kind
object-from = From
object-result = Result
count-objects = { $n ->
    [one] 1 object
   *[other] { $n } objects
  }
action-created = created
action-configured = changed
action-unchanged = unchanged
action-exists = existed
notes = Notes
steps = Sentry's own steps
count-steps = { $n ->
    [one] 1 step
   *[other] { $n } steps
  }
step-inspect = Read the commit
step-resolve = Found the manifests' branch
step-fetch = Fetched the manifests
step-compare = Compared what changed
step-check = Checked every document
step-apply = Wrote the objects
step-runs = Runs in progress
step-runs-ended = Runs ended
ended-by = by { $by }
sum-dry-run = A dry run: nothing was written. It took { $time }.
sum-delivered = { $n ->
    [0] Delivered without a run in { $time }.
    [one] Delivered with 1 run in { $time }.
   *[other] Delivered with { $n } runs in { $time }.
  }
sum-nothing = There was no run to start.
sum-nothing-why = There was no run to start: { $cause }.
sum-runs-failed = { $n } of { $all } runs failed, after { $time }.
sum-failed = Failed after { $time }.
sum-parked = Parked until something changes, or somebody retries it.
sum-parked-until = Parked for now: checked again { $at }, or when something changes.
sum-superseded = Superseded by a newer head; none of it ran.
sum-superseded-runs = Superseded by a newer head; { $n } of { $all } runs ended before.
sum-cancelled = Cancelled; none of it ran.
sum-cancelled-runs = Cancelled after { $time }; { $n } of { $all } runs ended before.
sum-running = { $n } of { $all } runs still running, for { $time } now.
sum-retrying = An attempt failed; it will be retried.
sum-queued = Queued.
sum-open = In progress, for { $time } now.

# A watch
route-from = From
route-on = On
branches = Branches
pace-title = The last 30 days
pace = { $failed } of { $n ->
    [one] 1 delivery
   *[other] { $n } deliveries
  } failed
pace-day = { $day }: { $n ->
    [one] 1 delivery
   *[other] { $n } deliveries
  }, { $failed } failed; half took { $time } at most
pace-help = Above, what half of a day's deliveries took at most, up to { $time }; below, how many there were. A cross marks days on which some failed. Days are in UTC.
slow-run = Slowest runs
slow-usual = Usually
slow-longest = Longest
slow-number = Runs
deliveries = Deliveries
history-search = Search branch, title, author or commit
history-none = No delivery matches.
history-pages = Pages
history-newest = Newest
history-older = Older
history-empty = Nothing has been delivered yet. The next commit on a watched branch will be.
acts = Act
deliver-title = Deliver a commit
deliver-head = defaults to the branch's head
deliver = Deliver
resume = Resume
resume-help = The watch starts nothing new. When resumed, it delivers the newest commit pushed to each branch meanwhile.
suspend = Suspend
suspend-help = Nothing new starts until the watch is resumed. What has started continues.
suspend-reason = Reason
suspend-shown = shown to everybody

# The first page
needs-you = { $n ->
    [one] 1 branch needs you
   *[other] { $n } branches need you
  }
under-way = { $n ->
    [one] 1 branch is in progress
   *[other] { $n } branches are in progress
  }
all-delivered = Everything is delivered
no-watch = No watch is configured
first-poll = Waiting for the first poll
forge-silent = A forge does not answer
sums = Watches: { $watches } · branches: { $branches } · in progress: { $open }
queue = { $n ->
    [one] 1 run waits for room in { $namespace }
   *[other] { $n } runs wait for room in { $namespace }
  }
no-namespace = an unknown namespace
section-bad = Needs you
section-open = In progress
section-found = { $n ->
    [one] 1 branch found
   *[other] { $n } branches found
  }
found-none = No branch matches. Commits are found by the first digits of their id, all else by any part of it.
more = Show the rest ({ $n })
empty-title = The configuration has no watch.
empty-help = A watch says which branches of which repository to watch, and what to run for them: `sentry init` writes a first sentry.yaml.
branch-none = no branch was seen yet
branch-none-of = No branch was seen yet; looking for { $text }.
branch-none-help = The first poll takes a few seconds after `sentry watch` starts. If nothing appears, `sentry validate --online` says whether the branch exists and the token may read it.
count-bad = { $n } failed
count-open = { $n } in progress
count-branches = { $n ->
    [one] 1 branch
   *[other] { $n } branches
  }
strip = { $n ->
    [one] The newest delivery
   *[other] The newest { $n } deliveries
  }, { $failed } failed
trouble-silent = the forge does not answer
trouble-suspended = suspended
trouble-idle = no branch matches
trouble-reports = verdicts are not shown on commits
trouble-ends = ends { $at }
trouble-next = next try { $at }
requests = { $n ->
    [one] 1 request not picked up yet
   *[other] { $n } requests not picked up yet
  }

# Search
search = Search
search-about = Search watch, branch, author, title or commit
search-key = press / to search
filter-more = More filters
filter-state = State
filter-watch = Watch
filter-branch = Branch
filter-author = Author
filter-commit = Commit
filter-any = any state
filter-open = in progress
filter-apply = Show
filter-clear = Clear
tone-bad = failed
tone-busy = moving
tone-wait = waiting
tone-good = fine
tone-quiet = quiet

# Said by a screen reader when something happens
told-started = { $branch } of { $watch }: delivery begins
told-retrying = { $branch } of { $watch }: an attempt failed
told-settled = { $branch } of { $watch }: { $text }
