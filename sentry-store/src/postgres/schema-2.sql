-- What writes, each as one call: a client that stands still between two calls holds nothing that others need. A function that
-- must change gets another number, so that processes of both versions go on side by side.

-- Carries out all writes, which are those of `commit.rs`, in their order, for who holds a slot under a term. Where it does not,
-- nothing is written, and `taken_by` says who does; where a watch that is named belongs to another slot, `foreign_watch` is that.
-- The rows that say so are locked until the end of the commit: neither a take nor a move comes in between.
CREATE FUNCTION sentry_commit_1(
    of_slot smallint, of_term text, named text[], writes jsonb, OUT taken_by text, OUT foreign_watch text)
LANGUAGE plpgsql AS $$
DECLARE
    it jsonb;
    rec jsonb;
    ver integer;
    own bigint;
BEGIN
    PERFORM FROM slots WHERE slot = of_slot AND term = of_term AND given_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        taken_by := coalesce((SELECT m.holder FROM slots s JOIN members m ON m.id = s.owner WHERE s.slot = of_slot), '');
        RETURN;
    END IF;
    PERFORM FROM homes WHERE watch = ANY (named) AND slot = of_slot FOR SHARE;
    GET DIAGNOSTICS own = ROW_COUNT;
    IF own < cardinality(named) THEN
        SELECT w INTO foreign_watch FROM unnest(named) w
        WHERE NOT EXISTS (SELECT FROM homes h WHERE h.watch = w AND h.slot = of_slot) LIMIT 1;
        foreign_watch := coalesce(foreign_watch, '');
        RETURN;
    END IF;
    FOR it IN SELECT value FROM jsonb_array_elements(writes) LOOP
        rec := it -> 'record';
        ver := (it ->> 'version')::integer;
        CASE it ->> 'to'
        WHEN 'cursors' THEN
            INSERT INTO cursors (version, record, searched) VALUES (ver, rec, it ->> 'searched')
            ON CONFLICT (watch, subject) DO UPDATE
                SET version = excluded.version, record = excluded.record, searched = excluded.searched
                WHERE (cursors.version, cursors.record) IS DISTINCT FROM (excluded.version, excluded.record);
        WHEN 'forget_cursors' THEN
            DELETE FROM cursors WHERE watch = it ->> 'watch' AND subject = it ->> 'subject';
        WHEN 'watches' THEN
            INSERT INTO watches (version, record) VALUES (ver, rec)
            ON CONFLICT (watch) DO UPDATE SET version = excluded.version, record = excluded.record
                WHERE (watches.version, watches.record) IS DISTINCT FROM (excluded.version, excluded.record);
        WHEN 'validators' THEN
            INSERT INTO validators (slot, key, validator) VALUES (of_slot, it ->> 'key', it ->> 'validator')
            ON CONFLICT (slot, key) DO UPDATE SET validator = excluded.validator
                WHERE validators.validator <> excluded.validator;
        WHEN 'forget_validators' THEN
            DELETE FROM validators WHERE slot = of_slot AND key = it ->> 'key';
        WHEN 'deliveries' THEN
            PERFORM sentry_put_delivery_1(it);
        WHEN 'triggers' THEN
            UPDATE triggers SET version = ver, record = rec WHERE id = rec ->> 'id' AND key = rec ->> 'key';
        WHEN 'heads' THEN
            INSERT INTO heads (version, record) VALUES (ver, rec)
            ON CONFLICT (sha, watch, subject) DO UPDATE SET version = excluded.version, record = excluded.record
                WHERE (heads.version, heads.record) IS DISTINCT FROM (excluded.version, excluded.record);
        WHEN 'reports' THEN
            INSERT INTO reports (version, record) VALUES (ver, rec)
            ON CONFLICT (watch, sha, context) DO UPDATE SET version = excluded.version, record = excluded.record
                WHERE (reports.version, reports.record) IS DISTINCT FROM (excluded.version, excluded.record);
        WHEN 'outbox' THEN
            INSERT INTO outbox (version, record) VALUES (ver, rec)
            ON CONFLICT (receiver, id) DO UPDATE SET version = excluded.version, record = excluded.record
                WHERE (outbox.version, outbox.record) IS DISTINCT FROM (excluded.version, excluded.record);
        WHEN 'forget_outbox' THEN
            DELETE FROM outbox WHERE receiver = it ->> 'receiver' AND id = it ->> 'id';
        WHEN 'troubles' THEN
            INSERT INTO troubles (version, record) VALUES (ver, rec)
            ON CONFLICT (watch, subject) DO UPDATE SET version = excluded.version, record = excluded.record
                WHERE (troubles.version, troubles.record) IS DISTINCT FROM (excluded.version, excluded.record);
        WHEN 'forget_troubles' THEN
            DELETE FROM troubles WHERE watch = it ->> 'watch' AND subject = it ->> 'subject';
        WHEN 'inventory' THEN
            INSERT INTO inventory (version, record, identity) VALUES (ver, rec, it ->> 'identity')
            ON CONFLICT (watch, identity) DO UPDATE SET version = excluded.version, record = excluded.record
                WHERE (inventory.version, inventory.record) IS DISTINCT FROM (excluded.version, excluded.record);
        WHEN 'forget_inventory' THEN
            DELETE FROM inventory WHERE watch = it ->> 'watch' AND identity = it ->> 'identity';
        WHEN 'agent' THEN
            UPDATE members SET agent = rec, format = ver WHERE id = (SELECT owner FROM slots WHERE slot = of_slot);
        WHEN 'prune' THEN
            PERFORM sentry_prune_1(it ->> 'before', it ->> 'acts_before', (it ->> 'keep')::bigint);
        END CASE;
    END LOOP;
END $$;

-- Of a delivery only the rows that changed are written.
CREATE FUNCTION sentry_put_delivery_1(it jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    ver integer := (it ->> 'version')::integer;
    of_delivery text := it #>> '{record,id}';
BEGIN
    INSERT INTO deliveries (version, record, totals, searched)
    VALUES (ver, it -> 'record', ARRAY(SELECT value::integer FROM jsonb_array_elements_text(it -> 'totals')), it ->> 'searched')
    ON CONFLICT (id) DO UPDATE
        SET version = excluded.version, record = excluded.record, totals = excluded.totals, searched = excluded.searched
        WHERE (deliveries.version, deliveries.record, deliveries.totals)
            IS DISTINCT FROM (excluded.version, excluded.record, excluded.totals);
    INSERT INTO delivery_parts (delivery, kind, place, version, record)
    SELECT of_delivery, kinds.key, part.place - 1, ver, part.record
    FROM jsonb_each(it -> 'parts') kinds
        CROSS JOIN LATERAL jsonb_array_elements(kinds.value) WITH ORDINALITY part (record, place)
    ON CONFLICT (delivery, kind, place) DO UPDATE SET version = excluded.version, record = excluded.record
        WHERE (delivery_parts.version, delivery_parts.record) IS DISTINCT FROM (excluded.version, excluded.record);
    DELETE FROM delivery_parts
    WHERE delivery = of_delivery AND place >= jsonb_array_length(it -> 'parts' -> kind);
END $$;

-- Forgets what is older, but never the newest `keep` deliveries of a watch: so much at a time that it ends in time. Where another
-- process is at it, this one need not be.
CREATE FUNCTION sentry_prune_1(older_than text, acts_older_than text, keep bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('sentry prunes')) THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM deliveries WHERE id IN (
            SELECT d.id FROM deliveries d
            WHERE d.final AND d.ended < older_than COLLATE "C"
                AND d.id <= (
                    SELECT n.id FROM deliveries n WHERE n.watch = d.watch ORDER BY n.id DESC OFFSET keep LIMIT 1)
            ORDER BY d.ended LIMIT 20000)
        RETURNING id)
    DELETE FROM delivery_parts USING gone WHERE delivery = gone.id;
    DELETE FROM acts WHERE at < acts_older_than COLLATE "C";
    DELETE FROM triggers WHERE NOT pending AND at < older_than COLLATE "C";
    DELETE FROM reports WHERE NOT due AND at < older_than COLLATE "C";
    DELETE FROM outbox WHERE at < older_than COLLATE "C";
    DELETE FROM troubles WHERE at < older_than COLLATE "C";
    DELETE FROM heads WHERE at < older_than COLLATE "C";
    DELETE FROM inventory WHERE at < older_than COLLATE "C"
        AND NOT EXISTS (SELECT FROM deliveries d WHERE d.id = delivery)
        AND NOT ((record -> 'run')::boolean AND coalesce((record -> 'limited')::boolean, true));
END $$;

-- Keeps a trigger, with a line of the audit log where it has one, and returns it; where its key is kept, the one that has it.
CREATE FUNCTION sentry_request_1(ver integer, trigger jsonb, act jsonb, OUT version integer, OUT record text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO triggers (version, record) VALUES (ver, trigger) ON CONFLICT (key) DO NOTHING;
    IF FOUND AND act IS NOT NULL THEN
        INSERT INTO acts (version, record) VALUES (ver, act);
    END IF;
    SELECT t.version, t.record::text INTO version, record FROM triggers t WHERE t.key = trigger ->> 'key';
END $$;

-- Suspends a watch, or ends that where there is no suspension, with a line of the audit log.
CREATE FUNCTION sentry_hold_1(ver integer, suspension jsonb, of_watch text, act jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF suspension IS NULL THEN
        DELETE FROM suspensions WHERE watch = of_watch;
    ELSE
        INSERT INTO suspensions (version, record) VALUES (ver, suspension)
        ON CONFLICT (watch) DO UPDATE SET version = excluded.version, record = excluded.record;
    END IF;
    INSERT INTO acts (version, record) VALUES (ver, act);
END $$;

-- True while a member's lease is not over.
CREATE FUNCTION sentry_lives_1(member text) RETURNS boolean
LANGUAGE sql AS $$
    SELECT EXISTS (SELECT FROM members WHERE id = member AND until > clock_timestamp())
$$;

-- Who owns a slot, if anybody does.
CREATE FUNCTION sentry_owner_1(of_slot smallint) RETURNS text
LANGUAGE sql AS $$
    SELECT owner FROM slots WHERE slot = of_slot AND given_at IS NULL AND sentry_lives_1(owner)
$$;

-- Renews a member's lease, and tells of all members that live and of all slots that were ever taken. What nobody asks about any
-- more, members that died a day ago and own nothing, is forgotten.
CREATE FUNCTION sentry_renew_1(
    me text, my_holder text, lease double precision, my_wanted bigint, my_format integer, my_agent jsonb)
RETURNS TABLE (member text, holder text, wanted bigint, slot smallint, term text, free boolean, age double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
BEGIN
    INSERT INTO members (id, holder, until, joined, wanted, format, agent)
    VALUES (me, my_holder, clock_timestamp() + make_interval(secs => lease), clock_timestamp(), my_wanted, my_format, my_agent)
    ON CONFLICT (id) DO UPDATE SET
        holder = excluded.holder,
        joined = CASE WHEN members.until > clock_timestamp() THEN members.joined ELSE excluded.joined END,
        until = clock_timestamp() + make_interval(secs => lease),
        wanted = excluded.wanted, format = excluded.format, agent = excluded.agent;
    moment := clock_timestamp();
    DELETE FROM members WHERE id IN (
        SELECT m.id FROM members m
        WHERE m.until < moment - interval '1 day' AND NOT EXISTS (SELECT FROM slots s WHERE s.owner = m.id)
        FOR UPDATE SKIP LOCKED);
    RETURN QUERY
        SELECT m.id, m.holder, m.wanted, NULL::smallint, NULL, NULL::boolean,
            extract(epoch FROM moment - m.joined)::double precision
        FROM members m WHERE m.until > moment
        UNION ALL
        SELECT s.owner, NULL, NULL::bigint, s.slot, s.term, s.given_at IS NOT NULL OR m.until IS NULL OR m.until <= moment,
            extract(epoch FROM moment - coalesce(s.given_at, m.until, moment - interval '1 day'))::double precision
        FROM slots s LEFT JOIN members m ON m.id = s.owner;
END $$;

-- Takes a slot whose term is still the one that was seen, and whose owner is this member or no live one. Where that does not hold,
-- `held_by` says who has it.
CREATE FUNCTION sentry_take_1(me text, of_slot smallint, seen text, fresh text, OUT taken boolean, OUT held_by text)
LANGUAGE plpgsql AS $$
BEGIN
    IF seen IS NULL THEN
        INSERT INTO slots (slot, owner, term) VALUES (of_slot, me, fresh) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE slots SET owner = me, term = fresh, given_at = NULL
        WHERE slot = of_slot AND term = seen AND (owner = me OR given_at IS NOT NULL OR NOT sentry_lives_1(owner));
    END IF;
    taken := FOUND;
    IF NOT taken THEN
        held_by := (SELECT m.holder FROM slots s JOIN members m ON m.id = s.owner WHERE s.slot = of_slot);
    END IF;
END $$;

-- Brings the records of watches into a slot that is held under a term, and frees the others of the slot. Returns those that are in
-- it now; nothing at all where the slot is not held under the term.
CREATE FUNCTION sentry_settle_1(of_slot smallint, of_term text, wanted text[], OUT settled text[])
LANGUAGE plpgsql AS $$
DECLARE
    me text;
BEGIN
    SELECT owner INTO me FROM slots WHERE slot = of_slot AND term = of_term AND given_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT sentry_lives_1(me) THEN
        me := NULL;
    END IF;
    UPDATE homes SET free = true WHERE slot = of_slot AND NOT free AND NOT watch = ANY (wanted);
    INSERT INTO homes (watch, slot, free) SELECT DISTINCT w, of_slot, false FROM unnest(wanted) w ORDER BY w
    ON CONFLICT (watch) DO UPDATE SET slot = excluded.slot, free = false
        WHERE (homes.slot, homes.free) IS DISTINCT FROM (excluded.slot, false)
            AND (homes.free OR sentry_owner_1(homes.slot) IS NULL OR sentry_owner_1(homes.slot) = me);
    settled := ARRAY(SELECT watch FROM homes WHERE slot = of_slot AND NOT free AND watch = ANY (wanted));
END $$;
