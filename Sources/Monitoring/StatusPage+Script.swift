extension StatusPage {
  public static let script: StaticString = #"""
    'use strict';
    const find = (id) => document.getElementById(id);
    const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

    function bytes(count) {
      let unit = 0;
      while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
      return (unit === 0 || count >= 99.95 ? count.toFixed(0) : count.toPrecision(3)) + ' ' + units[unit];
    }
    const rate = (count) => bytes(count) + '/s';
    const percent = (part, all) => all > 0 ? Math.floor(1000 * part / all) / 10 + ' %' : '0 %';

    function span(seconds) {
      seconds = Math.round(seconds);
      const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
      const two = (number) => String(number).padStart(2, '0');
      if (days > 0) return days + ' d ' + hours + ' h';
      if (hours > 0) return hours + ':' + two(minutes) + ':' + two(seconds % 60);
      return minutes + ':' + two(seconds % 60);
    }

    function make(tag, className, text) {
      const element = document.createElement(tag);
      if (className) element.className = className;
      if (text !== undefined) element.textContent = text;
      return element;
    }

    function setText(element, text) { if (element.textContent !== text) element.textContent = text; }
    function setWidth(element, part, all) { element.style.width = (all > 0 ? Math.min(100, 100 * part / all) : 0) + '%'; }

    // Keeps an element for each item, by key, in their order; what is open stays open. Items of one key are told apart by number.
    function keep(parent, items, key, create, update) {
      const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
      const counts = new Map();
      let place = parent.firstElementChild;
      for (const item of items) {
        const number = counts.get(String(key(item))) || 0;
        counts.set(String(key(item)), number + 1);
        const name = number + ' ' + key(item);
        let child = known.get(name);
        known.delete(name);
        if (!child) { child = create(item); child.dataset.key = name; }
        if (child === place) { place = place.nextElementSibling; } else { parent.insertBefore(child, place); }
        update(child, item);
      }
      for (const child of known.values()) child.remove();
    }

    function showTiles(view) {
      const { jobs, workers, coordinator } = view.status;
      const active = jobs.filter((job) => ['preparing', 'running', 'finishing'].includes(job.state));
      const late = view.throughput.slice(-6, -1);
      const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
      const running = workers.reduce((sum, worker) => sum + worker.running, 0);
      const tiles = [
        ['jobs under way', String(active.length)], ['workers', String(workers.length)], ['slots in use', running + ' of ' + slots],
        ['output of late', rate(late.reduce((sum, count) => sum + count, 0) / (late.length * view.stretchSeconds))],
        ['output since the start', bytes(view.totals.bytes)], ['up for', span(coordinator.uptimeSeconds)],
      ];
      keep(find('tiles'), tiles, (tile) => tile[0], (tile) => {
        const element = make('div', 'tile');
        element.append(make('b'), make('span', '', tile[0]));
        return element;
      }, (element, tile) => setText(element.firstElementChild, tile[1]));
    }

    function showGraph(view) {
      const most = Math.max(...view.throughput, 1);
      keep(find('graph'), view.throughput.map((count, index) => ({ count, index })), (item) => item.index, () => make('i'), (element, item) => {
        element.style.height = 100 * item.count / most + '%';
        element.title = rate(item.count / view.stretchSeconds);
      });
      setText(find('peak'), most > 1 ? 'at most ' + rate(most / view.stretchSeconds) : 'nothing was computed');
    }

    function makeJob() {
      const element = make('article', 'job');
      const head = make('div', 'head');
      head.append(make('b'), make('span'));
      const bar = make('div', 'bar');
      bar.append(make('i'));
      const details = make('details');
      details.append(make('summary'), make('div'));
      element.append(head, bar, make('div', 'note'), make('div', 'note'), make('div', 'problem'), details);
      return element;
    }

    function showJob(element, job) {
      const [head, bar, line, models, problem, details] = element.children;
      element.className = 'job ' + job.state;
      setText(head.firstElementChild, 'Job ' + job.job + (job.kind === 'verify' ? ', verification of ' : ': ') + job.output);
      const state = job.state === 'running' || !job.phase ? job.state : job.phase;
      const label = head.lastElementChild;
      label.className = 'state';
      // A coordinator does not know how much there was in jobs that were over when it started.
      const isOver = ['complete', 'failed', 'cancelled'].includes(job.state);
      const isCounted = job.bytes > 0 || !isOver;
      setText(label, state + (isCounted ? ', ' + percent(job.bytesDone, job.bytes) : ''));
      bar.hidden = !isCounted;
      setWidth(bar.firstElementChild, job.bytesDone, job.bytes);
      const texts = [];
      if (isCounted) texts.push(bytes(job.bytesDone) + ' of ' + bytes(job.bytes), job.shardsDone + ' of ' + job.shards + ' shards');
      if (job.state === 'running') {
        texts.push(rate(job.rate));
        if (job.etaSeconds !== undefined) texts.push(span(job.etaSeconds) + ' left');
      } else if (isOver && (isCounted || job.seconds > 0)) {
        texts.push('in ' + span(job.seconds));
      }
      if (job.retries > 0) texts.push(job.retries + ' tried again');
      setText(line, texts.join(', '));
      line.hidden = texts.length === 0;
      setText(models, 'alpha ' + job.alphas.join(', ') + ', ' + job.aligned + ' from ' + job.sft);
      const problems = job.problems.concat(job.warnings).slice(0, 5);
      problem.hidden = problems.length === 0;
      setText(problem, problems.map((each) => (each.file ? each.file + ': ' : '') + each.message + (each.remedy ? ' (' + each.remedy + ')' : '')).join('; '));
      details.hidden = job.files.length === 0;
      setText(details.firstElementChild, job.files.length === 1 ? '1 file' : job.files.length + ' files');
      if (!details.open) return;
      keep(details.lastElementChild, job.files, (file) => file.name, (file) => {
        const row = make('div', 'file');
        const bar = make('div', 'bar');
        bar.append(make('i'));
        const name = make('span', '', file.name);
        name.title = file.name;
        row.append(name, bar, make('span', 'number'));
        return row;
      }, (row, file) => {
        setWidth(row.children[1].firstElementChild, file.done, file.shards);
        setText(row.children[2], percent(file.done, file.shards));
      });
    }

    function showWorker(row, worker) {
      const states = { active: 'active', draining: 'draining', setAside: 'set aside' };
      const texts = [
        worker.name, states[worker.state] || worker.state, worker.running + ' of ' + worker.slots, rate(worker.rate), String(worker.shards),
        String(worker.failures), worker.lastSeenSeconds < 3 ? 'now' : span(worker.lastSeenSeconds) + ' ago', worker.version,
      ];
      texts.forEach((text, index) => setText(row.children[index], text));
      row.firstElementChild.title = worker.name + ', process ' + worker.process + ' on ' + worker.host;
    }

    function show(view) {
      const { coordinator, jobs, workers } = view.status;
      setText(find('title'), 'expomerge on ' + coordinator.host);
      document.title = 'expomerge on ' + coordinator.host;
      setText(find('subtitle'), 'Coordinator ' + coordinator.version + ', process ' + coordinator.process + ', start ' + coordinator.epoch
        + (view.isReady ? '' : '; it is ending'));
      showTiles(view);
      showGraph(view);
      const active = (job) => ['preparing', 'running', 'finishing'].includes(job.state) ? 0 : 1;
      const sorted = jobs.slice().sort((one, other) => active(one) - active(other) || (active(one) ? other.job - one.job : one.job - other.job));
      keep(find('jobs'), sorted, (job) => job.job, makeJob, showJob);
      find('no-jobs').hidden = jobs.length > 0;
      keep(find('workers').tBodies[0], workers, (worker) => worker.session, () => {
        const row = make('tr');
        for (let cell = 0; cell < 8; cell += 1) row.append(make('td'));
        return row;
      }, showWorker);
      find('workers').hidden = workers.length === 0;
      find('no-workers').hidden = workers.length > 0;
      keep(find('events'), view.events, (event) => event.at + ' ' + event.level + ' ' + event.text, (event) => {
        const item = make('li');
        const time = make('time', '', new Date(event.at).toLocaleTimeString([], { hour12: false }));
        time.dateTime = new Date(event.at).toISOString();
        item.append(time, make('span', 'level-' + event.level, event.text));
        return item;
      }, () => {});
      find('no-events').hidden = view.events.length > 0;
    }

    async function look() {
      const trouble = find('trouble');
      try {
        const answer = await fetch('api/view', { cache: 'no-store', signal: AbortSignal.timeout(8000) });
        if (!answer.ok) throw new Error('HTTP ' + answer.status);
        show(await answer.json());
        trouble.hidden = true;
      } catch (error) {
        setText(trouble, 'The coordinator does not answer (' + error.message + '); what is shown may be old.');
        trouble.hidden = false;
      }
      setTimeout(look, 2000);
    }

    document.addEventListener('toggle', (event) => { if (event.target.open) lookSoon(); }, true);
    function lookSoon() { fetch('api/view', { cache: 'no-store' }).then((answer) => answer.json()).then(show).catch(() => {}); }
    look();
    """#
}
