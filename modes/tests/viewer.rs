//! The viewer's server, as its page and others ask it: on recordings and logs made here.

mod made;

mod viewer {
    mod ask;
    mod diagnoses;
    mod differences;
    mod doors;
    mod events;
    mod hindsight;
    mod made;
    mod open;
    mod pages;
    mod parts;
    mod range;
    mod save;
    mod state;
    mod strange;
}
